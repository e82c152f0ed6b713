import { denseExpert } from "../contract/experts.ts";
import type { StepMeter } from "../contract/step-meter.ts";
import type { Tokens } from "../contract/tokens.ts";
import type { Device, HiddenStates, Stage } from "../device/device.ts";
import type { ChunkRunner } from "./chunk-runner.ts";
import type { Middles } from "./middles.ts";
import type { PrefixCache } from "./prefix-cache.ts";
import type { SequenceState, SequenceStates } from "./sequence-states.ts";

/** What a step of a prefill came to. */
export type PrefillStep =
  /** Chunks are left, of the trunk or of the rest. */
  | { readonly kind: "more" }
  /** The trunk has seen the whole prompt: a middle goes on. */
  | { readonly kind: "trunk-through" }
  /** The prompt is through: the last token's logits, `[vocabSize]`. */
  | { readonly kind: "logits"; readonly logits: Float32Array }
  /** The prompt is through, and its reader has taken hidden states instead of logits. */
  | { readonly kind: "read" };

/** What computes the blocks that all middles share. A middle's blocks have its name, which no middle can have. */
const trunkPart = "";

/**
 * The trunk takes a whole prompt before its middle starts, since the middle is chosen by the trunk's
 * output. It is a small part of the model, so several of its chunks make one step.
 */
const trunkChunksPerStep = 4;

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

/** Computes prompts, some chunks a step, and puts back what was computed before of a prompt with the same beginning. */
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

  /** One step: some chunks of the trunk, or one chunk of middle and head. @throws InferenceError */
  async step(sequence: Tokens): Promise<PrefillStep> {
    const state = this.#options.states.get(sequence) ?? (await this.#begin(sequence));
    if (state.numInTrunk < sequence.numTokens) return this.#trunkStep(sequence, state);
    if (state.middle === null) await this.setMiddle(sequence, denseExpert);
    return this.#restStep(sequence, state);
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

  async #trunkStep(sequence: Tokens, state: SequenceState): Promise<PrefillStep> {
    const { middles, chunks, chunkTokens, meter } = this.#options;
    const { numTokens, reader } = sequence;
    for (let i = 0; i < trunkChunksPerStep && state.numInTrunk < numTokens; i++) {
      const hidden = await chunks.trunk(sequence, state, chunkTokens);
      await this.#keepBlock(trunkPart, state, state.numInTrunk, [middles.trunk], hidden);
      await this.#readTrunk(sequence, hidden);
    }
    const isThrough = state.numInTrunk === numTokens;
    if (isThrough) reader?.endTrunk();
    meter?.lap("trunk");
    return { kind: isThrough ? "trunk-through" : "more" };
  }

  async #readTrunk({ reader }: Tokens, hidden: HiddenStates): Promise<void> {
    if (reader?.wantsTrunk) reader.addTrunk(await this.#options.device.readRows(hidden));
  }

  async #restStep(sequence: Tokens, state: SequenceState): Promise<PrefillStep> {
    const { middles, chunks } = this.#options;
    const { reader } = sequence;
    const { numRows } = state.chunks[0]!;
    const start = state.numInHead;
    const isLast = start + numRows === sequence.numTokens;
    const wants = reader?.wants ?? "nothing";
    if (wants === "states") {
      reader!.addStates(start, await chunks.rest(state, null), numRows);
      return { kind: isLast ? "read" : "more" };
    }
    const all = wants === "logits" ? Array.from({ length: numRows }, (_, row) => row) : null;
    const logits = await chunks.rest(state, all ?? (isLast ? [numRows - 1] : []));
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
