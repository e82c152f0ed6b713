import type { Tokens } from "../contract/tokens.ts";
import type { ForwardPass, HiddenStates, SequenceKv } from "../device/device.ts";
import type { Middle } from "./middles.ts";

/** A sequence's KV and how far its prefill is. */
export interface SequenceState {
  readonly kv: SequenceKv;
  /** Tokens that the trunk has seen; of a sequence that decodes, those of its prompt. */
  numInTrunk: number;
  /** Tokens that middle and head have seen; of a sequence that decodes, those of its prompt. */
  numInHead: number;
  /** What the sequence's chunks and tokens pass between the two; null while it is not chosen. */
  middle: Middle | null;
  /** Hidden states of the chunks that the trunk has seen and the head has not. */
  readonly chunks: HiddenStates[];
  /** Stages of the middle that the first of them has passed; the others have passed none. */
  numStages: number;
  /** The pass that the first of them is in; null where it has passed no stage. */
  pass: ForwardPass | null;
  /** Names of the prompt's blocks in the prefix cache; none where it is not to be used. */
  readonly chain: readonly string[];
  /** Blocks of the chain that need not be computed: the last token must be, for its logits. */
  readonly skippable: readonly string[];
  /** Tokens that neither middle nor head had to compute. */
  numCached: number;
  isDecoding: boolean;
}

/** What the engine holds of each sequence that has KV memory. */
export class SequenceStates {
  readonly #states = new Map<Tokens, SequenceState>();

  get(sequence: Tokens): SequenceState | undefined {
    return this.#states.get(sequence);
  }

  set(sequence: Tokens, state: SequenceState): void {
    this.#states.set(sequence, state);
  }

  all(): Iterable<[Tokens, SequenceState]> {
    return this.#states;
  }

  /** The sequences whose prefill is through, of one middle or of all. */
  decoding(middle?: Middle): [Tokens, SequenceState][] {
    return [...this.#states].filter(
      ([, state]) => state.isDecoding && (middle === undefined || state.middle === middle),
    );
  }

  /** Some sequence runs on it. */
  isUsed(middle: Middle): boolean {
    for (const state of this.#states.values()) if (state.middle === middle) return true;
    return false;
  }

  /** May be called twice. */
  release(sequence: Tokens): void {
    const state = this.#states.get(sequence);
    if (!state) return;
    this.#states.delete(sequence);
    state.kv.release();
    for (const chunk of state.chunks) chunk.dispose();
  }

  releaseAll(): void {
    for (const sequence of [...this.#states.keys()]) this.release(sequence);
  }
}
