import { continuedAttention } from "../../runtime/attention-feeds.ts";
import type { AttentionFeeds } from "../../runtime/attention-feeds.ts";
import type { AttentionKinds } from "../../runtime/attention-kinds.ts";

interface KnownFeeds {
  readonly pastLengths: readonly number[];
  readonly numNewTokens: number;
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

  /**
   * @param pastLengths positions in use before the pass, per sequence
   * @param arenaCapacity positions of a slot; where no sequence has a past, none are fed
   */
  feedsFor(
    pastLengths: readonly number[],
    numNewTokens: number,
    arenaCapacity: number,
  ): AttentionFeeds {
    const capacity = hasPast(pastLengths) ? arenaCapacity : 0;
    const known = this.#known.find(
      (other) =>
        other.capacity === capacity &&
        other.numNewTokens === numNewTokens &&
        isSame(other.pastLengths, pastLengths),
    );
    if (known) return known.feeds;
    const feeds = continuedAttention(this.#kinds, pastLengths, numNewTokens, capacity);
    this.#known.push({ pastLengths, numNewTokens, capacity, feeds });
    return feeds;
  }
}

export function hasPast(pastLengths: readonly number[]): boolean {
  return pastLengths.some((length) => length > 0);
}

function isSame(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((value, i) => value === b[i]);
}
