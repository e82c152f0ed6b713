/** Tasks of a background for tests. */
export function ready(): void {
  // There is nothing else to do.
}

export function double(value: number): number {
  return value * 2;
}

/** Never ends by itself. */
export function spin(): never {
  for (;;);
}

export function fail(message: string): never {
  throw new Error(message);
}

/** Takes memory until there is none. */
export function hoard(): never {
  const kept: number[][] = [];
  for (;;) kept.push(new Array<number>(1_000_000).fill(kept.length + 0.5));
}
