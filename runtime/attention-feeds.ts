import { feedNames, maskFeed } from "../model/graph/feed-names.ts";
import { causalMask, withinWindow } from "./attention-mask.ts";
import type { AttentionMask } from "./attention-mask.ts";
import type { AttentionKinds } from "./attention-kinds.ts";
import type { Feeds } from "./tensor.ts";
import { integers, tensor } from "./tensor.ts";

/** What attention needs to know of a batch besides its past; the same for all layers of all stages. */
export interface AttentionFeeds {
  readonly numSequences: number;
  readonly numNewTokens: number;
  readonly feeds: Feeds;
}

/** @param positions of the new tokens in their sequences, shape `[numSequences, numNewTokens]` */
export function attentionFeeds(
  kinds: AttentionKinds,
  positions: BigInt64Array,
  mask: AttentionMask,
): AttentionFeeds {
  const { numSequences, numNewTokens, capacity } = mask;
  let last = 0n;
  for (const position of positions) if (position > last) last = position;
  // ONNX Runtime takes no table that is shorter than the batch.
  const numPositions = Math.max(Number(last) + 1, numNewTokens);
  const width = capacity + numNewTokens;
  return {
    numSequences,
    numNewTokens,
    feeds: {
      ...kinds.rotaryFeeds(numPositions),
      [feedNames.positions]: tensor(positions, [numSequences, numNewTokens]),
      ...Object.fromEntries(
        [null, ...kinds.windows].map((window) => {
          const { scores } = window === null ? mask : withinWindow(mask, positions, window);
          return [maskFeed(window), tensor(scores, [numSequences, 1, 1, numNewTokens, width])];
        }),
      ),
      [feedNames.scoreSplit]: integers([capacity, numNewTokens]),
    },
  };
}

/** Of sequences that each go on with as many new tokens; `capacity` positions of the past are fed. */
export function continuedAttention(
  kinds: AttentionKinds,
  pastLengths: readonly number[],
  numNewTokens: number,
  capacity: number,
): AttentionFeeds {
  const positions = new BigInt64Array(pastLengths.length * numNewTokens);
  for (const [sequence, past] of pastLengths.entries()) {
    for (let token = 0; token < numNewTokens; token++) {
      positions[sequence * numNewTokens + token] = BigInt(past + token);
    }
  }
  return attentionFeeds(kinds, positions, causalMask(pastLengths, numNewTokens, capacity));
}
