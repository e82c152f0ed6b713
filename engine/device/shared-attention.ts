import { continuedAttention } from "../../runtime/attention-feeds.ts";
import type { AttentionFeeds } from "../../runtime/attention-feeds.ts";
import type { AttentionKinds } from "../../runtime/attention-kinds.ts";
import { tailLengthFor, tailStartOf } from "./kv-tail.ts";

/** Tokens of some sequences that go through stages together. */
export interface TokenBatch {
  /** Positions in use before the pass, by sequence. */
  readonly pastLengths: readonly number[];
  readonly numNewTokens: number;
  /** Positions of a slot; where no sequence has a past, none are fed. */
  readonly arenaCapacity: number;
  /** The bits of each token are those that it has when it comes alone. */
  readonly isStepwise: boolean;
}

interface KnownFeeds {
  readonly batch: TokenBatch;
  readonly capacity: number;
  readonly feeds: AttentionFeeds;
}

/** Remembers what attention is fed during one step, for all stages that the same tokens go through. */
export class SharedAttention {
  readonly #kinds: AttentionKinds;
  readonly #known: KnownFeeds[] = [];

  constructor(kinds: AttentionKinds) {
    this.#kinds = kinds;
  }

  feedsFor(batch: TokenBatch): AttentionFeeds {
    const { pastLengths, numNewTokens, arenaCapacity, isStepwise } = batch;
    const capacity = hasPast(pastLengths) ? arenaCapacity : 0;
    const known = this.#known.find(
      (other) =>
        other.capacity === capacity &&
        other.batch.numNewTokens === numNewTokens &&
        other.batch.isStepwise === isStepwise &&
        isSame(other.batch.pastLengths, pastLengths),
    );
    if (known) return known.feeds;
    const tailStarts = pastLengths.map(tailStartOf);
    const tailLength = tailLengthFor(pastLengths, numNewTokens);
    const places = { pastLengths, tailStarts, numNewTokens, capacity, tailLength };
    const feeds = continuedAttention(this.#kinds, places, isStepwise);
    this.#known.push({ batch, capacity, feeds });
    return feeds;
  }
}

/** Some sequence has positions before its tail. */
export function hasPast(pastLengths: readonly number[]): boolean {
  return pastLengths.some((length) => tailStartOf(length) > 0);
}

function isSame(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((value, i) => value === b[i]);
}
