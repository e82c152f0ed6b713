import { ModelLoadError } from "../../errors.ts";

const maxHeadDim = 1 << 14; // far above any model; keeps a damaged header from asking for the memory

/** @throws ModelLoadError when heads of that size cannot have so many values turned by their position. */
export function checkedRotarySize(path: string, headDim: number, size: number): number {
  if (Number.isInteger(size) && size % 2 === 0 && size <= headDim) return size;
  throw new ModelLoadError(
    path,
    `${size} values of a head are turned by their position, ` +
      `expected an even number up to the head size ${headDim}`,
  );
}

interface AttentionShape {
  readonly hiddenSize: number;
  readonly numHeads: number;
  readonly numKvHeads: number;
  /** By default the hidden size is divided among the heads. */
  readonly headDim: number | null | undefined;
}

/**
 * Checks that heads, key-value heads and head size fit together, and returns the head size.
 * @throws ModelLoadError saying which do not.
 */
export function checkedHeadDim(path: string, shape: AttentionShape): number {
  const { hiddenSize, numHeads, numKvHeads } = shape;
  if (numHeads % numKvHeads !== 0) {
    throw new ModelLoadError(
      path,
      `${numHeads} heads are not a multiple of ${numKvHeads} key-value heads`,
    );
  }
  const headDim = shape.headDim ?? hiddenSize / numHeads;
  if (!Number.isInteger(headDim)) {
    throw new ModelLoadError(
      path,
      `hidden size ${hiddenSize} is not a multiple of ${numHeads} heads, and no head size is given`,
    );
  }
  if (headDim % 2 !== 0 || headDim > maxHeadDim) {
    throw new ModelLoadError(
      path,
      `the head size is ${headDim}, expected an even number up to ${maxHeadDim}`,
    );
  }
  return headDim;
}
