import { generator } from "../../router/k-means.ts";

/**
 * Rows around a center, spread alike in all directions, the same every time.
 * @param center shape `[numFeatures]`
 */
export function rowsAround(
  center: readonly number[],
  numRows: number,
  { spread = 1, seed = 1 }: { readonly spread?: number; readonly seed?: number } = {},
): Float32Array[] {
  const random = generator(seed);
  const noise = (): number => random() + random() + random() - 1.5; // standard deviation 0.5
  return Array.from({ length: numRows }, () =>
    Float32Array.from(center, (value) => value + 2 * spread * noise()),
  );
}

/** A center that is far from others in its own direction. */
export function centerAt(direction: number, distance = 8, numFeatures = 6): number[] {
  return Array.from({ length: numFeatures }, (_, i) => (i === direction ? distance : 0));
}
