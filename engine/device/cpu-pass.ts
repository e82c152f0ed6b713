import { continuedAttention } from "../../runtime/attention-feeds.ts";
import type { AttentionFeeds } from "../../runtime/attention-feeds.ts";
import type { RotaryTable } from "../../runtime/rotary-table.ts";
import type { ForwardPass } from "./device.ts";

/** Remembers what attention is fed, as long as arenas of one capacity follow each other. */
export class CpuPass implements ForwardPass {
  readonly pastLengths: readonly number[];
  readonly numNewTokens: number;
  readonly hasPast: boolean;
  readonly #rotary: RotaryTable;
  #attention: { readonly capacity: number; readonly feeds: AttentionFeeds } | null = null;

  constructor(rotary: RotaryTable, pastLengths: readonly number[], numNewTokens: number) {
    this.#rotary = rotary;
    this.pastLengths = pastLengths;
    this.numNewTokens = numNewTokens;
    this.hasPast = pastLengths.some((length) => length > 0);
  }

  /** @param arenaCapacity positions of a slot; of sequences without a past none are fed */
  attention(arenaCapacity: number): AttentionFeeds {
    const capacity = this.hasPast ? arenaCapacity : 0;
    if (this.#attention?.capacity !== capacity) {
      const { pastLengths, numNewTokens } = this;
      const feeds = continuedAttention(this.#rotary, pastLengths, numNewTokens, capacity);
      this.#attention = { capacity, feeds };
    }
    return this.#attention.feeds;
  }
}
