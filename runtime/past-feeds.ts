import { pastFeedNames } from "../model/graph/feed-names.ts";
import type { LayerShape } from "../model/weights/layer-spec.ts";
import type { Feeds, Tensor } from "./tensor.ts";
import { tensor } from "./tensor.ts";

/** The past of one layer with attention. */
export interface LayerPast {
  /** Place in the stage, counting layers without attention. */
  readonly index: number;
  readonly numKvHeads: number;
  /** `[numSequences, numKvHeads, headDim, capacity]`: transposed, see `writeStage`. */
  readonly keys: Float32Array;
  /** `[numSequences, numKvHeads, capacity, headDim]` */
  readonly values: Float32Array;
}

export interface PastShape {
  readonly numSequences: number;
  readonly headDim: number;
  /** Positions, used or not. */
  readonly capacity: number;
}

export function pastFeeds(
  layers: readonly LayerPast[],
  { numSequences, headDim, capacity }: PastShape,
): Feeds {
  const feeds: Record<string, Tensor> = {};
  for (const { index, numKvHeads, keys, values } of layers) {
    const [keyDims, valueDims] = [
      [numSequences, numKvHeads, 1, headDim, capacity],
      [numSequences, numKvHeads, 1, capacity, headDim],
    ];
    const names = pastFeedNames(index);
    feeds[names.keys] = tensor(keys, keyDims);
    feeds[names.values] = tensor(values, valueDims);
  }
  return feeds;
}

/** The past of sequences that have none. */
export function noPastFeeds(
  layers: readonly LayerShape[],
  { numSequences, headDim }: Omit<PastShape, "capacity">,
): Feeds {
  const nothing = new Float32Array(0);
  const pasts = layers.flatMap(({ numHeads, numKvHeads }, index) =>
    numHeads === 0 ? [] : [{ index, numKvHeads, keys: nothing, values: nothing }],
  );
  return pastFeeds(pasts, { numSequences, headDim, capacity: 0 });
}
