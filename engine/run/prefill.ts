import { denseExpert } from "../contract/experts.ts";
import type { StepMeter } from "../contract/step-meter.ts";
import type { Tokens } from "../contract/tokens.ts";
import type { Device, HiddenStates, Stage } from "../device/device.ts";
import type { ChunkRunner } from "./chunk-runner.ts";
import type { Middles } from "./middles.ts";
import type { PrefixCache } from "./prefix-cache.ts";
import type { SequenceState, SequenceStates } from "./sequence-states.ts";

/** What a part of a prefill came to: a chunk in one stage. */
export type PrefillPart =
  /** Parts are left, of the trunk or of the rest. */
  | { readonly kind: "more" }
  /** The trunk has seen the whole prompt: a middle goes on. */
  | { readonly kind: "trunk-through" }
  /** The prompt is through: the last token's logits, `[vocabSize]`. */
  | { readonly kind: "logits"; readonly logits: Float32Array }
  /** The prompt is through, and its reader has taken hidden states instead of logits. */
  | { readonly kind: "read" };

/** What computes the blocks that all middles share. A middle's blocks have its name, which no middle can have. */
const trunkPart = "";

/** What a part of a prefill runs, which its time depends on. */
export interface PartShape {
  readonly stage: Stage;
  readonly numRows: number;
  /** Tokens of the sequence that the stage has seen. */
  readonly numPast: number;
}

export interface PrefillOptions {
  readonly device: Device;
  readonly middles: Middles;
  readonly states: SequenceStates;
  readonly chunks: ChunkRunner;
  readonly prefixCache: PrefixCache | null;
  /** Tokens of a chunk. Borders of chunks depend on nothing but the prompt. */
  readonly chunkTokens: number;
  readonly meter?: StepMeter | undefined;
}

/**
 * Computes prompts, each chunk stage by stage, and puts back what was computed before of a prompt with the same beginning.
 * The trunk takes a whole prompt before its middle starts, since the middle is chosen by the trunk's output.
 */
export class Prefill {
  readonly #options: PrefillOptions;

  constructor(options: PrefillOptions) {
    this.#options = options;
  }

  /** The trunk has seen the whole prompt, and nobody has said which middle goes on. */
  needsMiddle(sequence: Tokens): boolean {
    const state = this.#options.states.get(sequence);
    return state?.middle === null && state.numInTrunk === sequence.numTokens;
  }

  /** Says what a sequence that needs a middle runs on. */
  async setMiddle(sequence: Tokens, name: string): Promise<void> {
    const { states, chunks, prefixCache, chunkTokens } = this.#options;
    const state = states.get(sequence)!;
    await chunks.setMiddle(state, name);
    if (!prefixCache) return;
    const { kv, skippable } = state;
    const cached = await prefixCache.restore(name, skippable, { kv, stages: this.#restOf(state) });
    for (const input of state.chunks.splice(0, cached.length)) input.dispose();
    state.numCached = cached.length * chunkTokens;
    state.numInHead = state.numCached;
  }

  /** Tokens that have still to pass the head; null where the prefill has not begun. */
  numLeftOf(sequence: Tokens): number | null {
    const state = this.#options.states.get(sequence);
    return state === undefined ? null : sequence.numTokens - state.numInHead;
  }

  /** What the next part is. */
  shapeOf(sequence: Tokens): PartShape {
    const { states, middles, chunkTokens } = this.#options;
    const state = states.get(sequence);
    const numPast = state?.numInTrunk ?? 0;
    const numRows = Math.min(chunkTokens, sequence.numTokens - numPast);
    if (state === undefined || numRows > 0) return { stage: middles.trunk, numRows, numPast };
    const { chunks, numInHead, numStages } = state;
    const { stages } = state.middle ?? middles.dense;
    const stage = stages[numStages] ?? middles.head;
    return { stage, numRows: chunks[0]!.numRows, numPast: numInHead };
  }

  /** The next part: a chunk through the trunk, a stage of the middle, or the head. @throws InferenceError */
  async step(sequence: Tokens): Promise<PrefillPart> {
    const { states, chunks } = this.#options;
    const state = states.get(sequence) ?? (await this.#begin(sequence));
    if (state.numInTrunk < sequence.numTokens) return this.#trunkPart(sequence, state);
    if (state.middle === null) await this.setMiddle(sequence, denseExpert);
    if (state.numStages === state.middle!.stages.length) return this.#headPart(sequence, state);
    await chunks.middle(state);
    return { kind: "more" };
  }

  /** Opens a sequence with what the trunk has seen before of its prompt. */
  async #begin(sequence: Tokens): Promise<SequenceState> {
    const { middles, chunks, prefixCache, chunkTokens } = this.#options;
    const { reader, cacheSalt, numTokens } = sequence;
    const isShared = cacheSalt !== undefined && !reader?.readsAll;
    const chain =
      isShared && prefixCache
        ? prefixCache.chainOf(sequence.tokenIds(0, numTokens), cacheSalt)
        : [];
    const state = await chunks.open(sequence, chunkTokens, chain);
    if (!prefixCache) return state;
    const { kv, skippable } = state;
    const cached = await prefixCache.restore(trunkPart, skippable, { kv, stages: [middles.trunk] });
    for (const hidden of cached) {
      state.chunks.push(hidden!);
      state.numInTrunk += hidden!.numRows;
      await this.#readTrunk(sequence, hidden!);
    }
    return state;
  }

  async #trunkPart(sequence: Tokens, state: SequenceState): Promise<PrefillPart> {
    const { middles, chunks, chunkTokens, meter } = this.#options;
    const hidden = await chunks.trunk(sequence, state, chunkTokens);
    await this.#keepBlock(trunkPart, state, state.numInTrunk, [middles.trunk], hidden);
    await this.#readTrunk(sequence, hidden);
    const isThrough = state.numInTrunk === sequence.numTokens;
    if (isThrough) sequence.reader?.endTrunk();
    meter?.lap("trunk");
    return { kind: isThrough ? "trunk-through" : "more" };
  }

  async #readTrunk({ reader }: Tokens, hidden: HiddenStates): Promise<void> {
    if (reader?.wantsTrunk) reader.addTrunk(await this.#options.device.readRows(hidden));
  }

  async #headPart(sequence: Tokens, state: SequenceState): Promise<PrefillPart> {
    const { middles, chunks } = this.#options;
    const { reader } = sequence;
    const { numRows } = state.chunks[0]!;
    const start = state.numInHead;
    const isLast = start + numRows === sequence.numTokens;
    const wants = reader?.wants ?? "nothing";
    if (wants === "states") {
      reader!.addStates(start, await chunks.head(state, null), numRows);
      return { kind: isLast ? "read" : "more" };
    }
    const all = wants === "logits" ? Array.from({ length: numRows }, (_, row) => row) : null;
    const logits = await chunks.head(state, all ?? (isLast ? [numRows - 1] : []));
    await this.#keepBlock(state.middle!.name, state, state.numInHead, this.#restOf(state), null);
    const { vocabSize } = middles.head.spec;
    if (all) reader!.addLogits(start, logits, vocabSize);
    if (!isLast) return { kind: "more" };
    state.isDecoding = true;
    return { kind: "logits", logits: logits.subarray(logits.length - vocabSize) };
  }

  /** Middle and head of a sequence that has both. */
  #restOf({ middle }: SequenceState): Stage[] {
    return [...middle!.stages, this.#options.middles.head];
  }

  /** @param end tokens that the stages have computed by now */
  async #keepBlock(
    part: string,
    { chain, kv }: SequenceState,
    end: number,
    stages: readonly Stage[],
    hidden: HiddenStates | null,
  ): Promise<void> {
    const index = end / this.#options.chunkTokens - 1;
    if (!(index in chain)) return;
    await this.#options.prefixCache?.keep(part, chain, index, { kv, stages, hidden });
  }
}
