import type { AttendingTokens, HeadCounts } from "../model/graph/feed-names.ts";
import { feedNames, maskFeed, queryRowsFeed, rotaryRowsFeed } from "../model/graph/feed-names.ts";
import { causalMask, withinWindow } from "./attention-mask.ts";
import type { AttentionMask, TailPlaces } from "./attention-mask.ts";
import type { AttentionKinds } from "./attention-kinds.ts";
import type { Feeds, Tensor } from "./tensor.ts";
import { integers, tensor } from "./tensor.ts";

/** What attention needs to know of a batch besides its past and tail; the same for all layers of all stages. */
export interface AttentionFeeds {
  readonly numSequences: number;
  readonly numNewTokens: number;
  readonly tailLength: number;
  readonly feeds: Feeds;
  /** Rows of the rotary tables, of layers with so many heads. */
  readonly rotaryRows: (heads: HeadCounts) => Feeds;
  /** Of the last layer of a stage with the head. @param rows new tokens that go on, the same of each sequence */
  readonly keptFeeds: (rows: readonly number[]) => Feeds;
}

export interface AttentionBatch {
  /** Of the new tokens in their sequences, shape `[numSequences, numNewTokens]`. */
  readonly positions: BigInt64Array;
  readonly mask: AttentionMask;
  /** Where the new tokens come in their tails, by sequence. @default the tail has nothing else */
  readonly firstInTail?: readonly number[];
  /** Each token has queries of its own: its bits are those that it has when it comes alone. @default false */
  readonly isStepwise?: boolean;
}

export function attentionFeeds(
  kinds: AttentionKinds,
  { positions, mask, firstInTail, isStepwise = false }: AttentionBatch,
): AttentionFeeds {
  const { numSequences, numNewTokens, capacity, tailLength } = mask;
  const places = firstInTail ?? new Array<number>(numSequences).fill(0);
  let last = 0n;
  for (const position of positions) if (position > last) last = position;
  // ONNX Runtime takes no table that is shorter than what is turned of a sequence.
  const numPositions = Math.max(Number(last) + 1, numNewTokens * kinds.mostHeads);
  const rotaryRows = new Map<string, Feeds>();
  const ofTail = tailPositions(positions, places, mask);
  const masks = [null, ...kinds.windows].map(
    (window) =>
      [
        window,
        window === null ? mask : withinWindow(mask, { ofTokens: positions, ofTail }, window),
      ] as const,
  );
  const feedsOf = (tokens: AttendingTokens, rows: readonly number[] | null): Feeds => {
    const numRows = rows === null ? numNewTokens : rows.length;
    const matrices = isStepwise && numRows > 0 ? [numRows, 1] : [1, numRows];
    const dims = [numSequences, 1, 1, ...matrices, mask.width];
    return {
      [queryRowsFeed(tokens)]: integers(matrices),
      ...Object.fromEntries(
        masks.map(([window, of]) => [
          maskFeed(window, tokens),
          tensor(rows === null ? of.scores : rowsOf(of, rows), dims),
        ]),
      ),
    };
  };
  return {
    ...{ numSequences, numNewTokens, tailLength },
    feeds: {
      ...kinds.rotaryFeeds(numPositions),
      [feedNames.tailStart]: integers(places),
      [feedNames.scoreSplit]: integers([capacity, tailLength]),
      ...feedsOf("all", null),
    },
    rotaryRows: (heads) => {
      const name = rotaryRowsFeed(heads);
      let feeds = rotaryRows.get(name);
      if (feeds === undefined) {
        feeds = { [name]: rowsByHead(positions, numSequences, heads) };
        rotaryRows.set(name, feeds);
      }
      return feeds;
    },
    keptFeeds: (rows) => feedsOf("kept", rows),
  };
}

/** Of sequences that each go on with as many new tokens. */
export function continuedAttention(
  kinds: AttentionKinds,
  places: TailPlaces,
  isStepwise = false,
): AttentionFeeds {
  const { pastLengths, tailStarts, numNewTokens } = places;
  const positions = new BigInt64Array(pastLengths.length * numNewTokens);
  for (const [sequence, past] of pastLengths.entries()) {
    for (let token = 0; token < numNewTokens; token++) {
      positions[sequence * numNewTokens + token] = BigInt(past + token);
    }
  }
  const firstInTail = pastLengths.map((past, sequence) => past - tailStarts[sequence]!);
  return attentionFeeds(kinds, { positions, mask: causalMask(places), firstInTail, isStepwise });
}

/** Positions in their sequences of the places of the tails; those before the new tokens count down from the first of them. */
function tailPositions(
  positions: BigInt64Array,
  firstInTail: readonly number[],
  { numNewTokens, tailLength }: AttentionMask,
): BigInt64Array {
  const result = new BigInt64Array(firstInTail.length * tailLength);
  for (const [sequence, first] of firstInTail.entries()) {
    const start = sequence * numNewTokens;
    for (let place = 0; place < tailLength; place++) {
      const token = Math.min(place - first, numNewTokens - 1);
      result[sequence * tailLength + place] =
        token < 0 ? positions[start]! + BigInt(token) : positions[start + token]!;
    }
  }
  return result;
}

/** @returns shape `[numSequences, rows.length, width]` */
function rowsOf(
  { scores, numSequences, numNewTokens, width }: AttentionMask,
  rows: readonly number[],
): Float32Array {
  const isAll = rows.length === numNewTokens && rows.every((row, i) => row === i);
  if (isAll) return scores;
  const result = new Float32Array(numSequences * rows.length * width);
  for (let sequence = 0; sequence < numSequences; sequence++) {
    for (const [i, row] of rows.entries()) {
      const from = (sequence * numNewTokens + row) * width;
      result.set(scores.subarray(from, from + width), (sequence * rows.length + i) * width);
    }
  }
  return result;
}

/** Of each token: rows of its position for queries and keys, and the one that turns nothing for values. */
function rowsByHead(
  positions: BigInt64Array,
  numSequences: number,
  { numHeads, numKvHeads }: HeadCounts,
): Tensor {
  const numAll = numHeads + 2 * numKvHeads;
  const rows = new BigInt64Array(positions.length * numAll);
  for (const [token, position] of positions.entries()) {
    const start = token * numAll;
    rows.fill(position + 1n, start, start + numHeads + numKvHeads);
  }
  return tensor(rows, [numSequences, rows.length / numSequences]);
}
