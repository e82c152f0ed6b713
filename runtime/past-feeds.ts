import { pastFeedNames } from "../model/graph/feed-names.ts";
import type { LayerShape } from "../model/weights/layer-spec.ts";
import type { Feeds, Tensor } from "./tensor.ts";
import { tensor } from "./tensor.ts";

/** The past and the tail of one layer with attention. */
export interface LayerPast {
  /** Place in the stage, counting layers without attention. */
  readonly index: number;
  readonly numKvHeads: number;
  /** `[numSequences, numKvHeads, headDim, capacity]`: transposed, see `writeStage`. */
  readonly keys: Float32Array;
  /** `[numSequences, numKvHeads, capacity, headDim]` */
  readonly values: Float32Array;
  /** Keys and behind them values, `[numSequences, 2 * numKvHeads, tailLength, headDim]`. */
  readonly tail: Float32Array;
}

export interface PastShape {
  readonly numSequences: number;
  readonly headDim: number;
  /** Positions of the past, used or not. */
  readonly capacity: number;
  /** Positions of the tail, used or not. */
  readonly tailLength: number;
}

export function pastFeeds(
  layers: readonly LayerPast[],
  { numSequences, headDim, capacity, tailLength }: PastShape,
): Feeds {
  const feeds: Record<string, Tensor> = {};
  for (const { index, numKvHeads, keys, values, tail } of layers) {
    const names = pastFeedNames(index);
    const heads = [numSequences, numKvHeads, 1, 1];
    feeds[names.keys] = tensor(keys, [...heads, headDim, capacity]);
    feeds[names.values] = tensor(values, [...heads, capacity, headDim]);
    feeds[names.tail] = tensor(tail, [numSequences, 2 * numKvHeads, 1, 1, tailLength, headDim]);
  }
  return feeds;
}

/** Of sequences that have neither: the places of the tail are the new tokens'. */
export function noPastFeeds(
  layers: readonly LayerShape[],
  { numSequences, headDim, tailLength }: Omit<PastShape, "capacity">,
): Feeds {
  const nothing = new Float32Array(0);
  const mostHeads = Math.max(0, ...layers.map(({ numKvHeads }) => numKvHeads));
  const zeros = new Float32Array(numSequences * 2 * mostHeads * tailLength * headDim);
  const pasts = layers.flatMap(({ numHeads, numKvHeads }, index) => {
    if (numHeads === 0) return [];
    const tail = zeros.subarray(0, numSequences * 2 * numKvHeads * tailLength * headDim);
    return [{ index, numKvHeads, keys: nothing, values: nothing, tail }];
  });
  return pastFeeds(pasts, { numSequences, headDim, capacity: 0, tailLength });
}
