import type { ScoreOptions, ScoreStep } from "../contract/score-step.ts";
import type { StepMeter } from "../contract/step-meter.ts";
import type { Tokens } from "../contract/tokens.ts";
import type { Device, Stage } from "../device/device.ts";
import { ChunkRunner } from "./chunk-runner.ts";
import { Decode } from "./decode.ts";
import type { OnDecodeFailure } from "./decode.ts";
import { Middles } from "./middles.ts";
import type { ModelStages } from "./middles.ts";
import { Prefill } from "./prefill.ts";
import type { PartShape, PrefillPart } from "./prefill.ts";
import { PrefixCache } from "./prefix-cache.ts";
import type { Drafts } from "../speculation/speculation.ts";
import { scoreStep } from "./scoring.ts";
import { SequenceStates } from "./sequence-states.ts";

export interface ModelRunnerOptions {
  readonly device: Device;
  readonly stages: ModelStages;
  /** Largest number of prompt tokens in one forward pass. @default as the device takes them best */
  readonly prefillChunk?: number | undefined;
  /** Memory for the beginnings of prompts that may come again. @default 0: none is kept */
  readonly prefixCacheBytes?: number;
  /** Told of the parts of each pass. */
  readonly meter?: StepMeter;
  /** Milliseconds on a steady clock. @default one that stands still: every sequence takes part in each decode step */
  readonly now?: () => number;
}

/**
 * Runs forward passes for sequences: owns the stages, and the KV of the sequences, which lies in the device. Trunk and
 * head are one batch over all sequences; between the two, each middle is a batch of the sequences that run on it.
 */
export class ModelRunner {
  readonly #device: Device;
  readonly #middles: Middles;
  readonly #states = new SequenceStates();
  readonly #prefixCache: PrefixCache | null;
  readonly #chunks: ChunkRunner;
  readonly #prefill: Prefill;
  readonly #decode: Decode;

  constructor(options: ModelRunnerOptions) {
    const { device, stages, prefixCacheBytes: maxBytes = 0, meter, now } = options;
    const chunkTokens = options.prefillChunk ?? device.chunkTokens;
    const middles = new Middles(stages);
    const shared = { device, middles, states: this.#states, meter };
    this.#device = device;
    this.#middles = middles;
    const blockBytes = device.snapshotBytesFor(middles.dense.path, chunkTokens, true);
    this.#prefixCache =
      maxBytes > 0
        ? new PrefixCache({ device, blockTokens: chunkTokens, blockBytes, maxBytes })
        : null;
    this.#chunks = new ChunkRunner(shared);
    const prefixCache = this.#prefixCache;
    this.#prefill = new Prefill({ ...shared, chunks: this.#chunks, prefixCache, chunkTokens });
    this.#decode = new Decode({ ...shared, now });
  }

  /** KV bytes that a sequence of some length needs, of all stages, on any middle. */
  kvBytesFor(numTokens: number): number {
    return this.#device.kvBytesFor(this.#middles.dense.path, numTokens);
  }

  /** As `kvBytesFor`, of a sequence whose middle may be known. */
  kvBytesOf(sequence: Tokens, numTokens: number): number {
    const { path } = this.#states.get(sequence)?.middle ?? this.#middles.dense;
    return this.#device.kvBytesFor(path, numTokens);
  }

  /** KV bytes that are held twice while a sequence of some length grows. */
  moveBytesFor(numTokens: number): number {
    return this.#device.growthBytesFor(this.#middles.dense.path, numTokens);
  }

  /** A sequence has KV memory. */
  holds(sequence: Tokens): boolean {
    return this.#states.get(sequence) !== undefined;
  }

  /** Bytes of the prompt beginnings that are kept. */
  get prefixCacheBytes(): number {
    return this.#prefixCache?.sizeBytes ?? 0;
  }

  /** Tokens of a sequence's prompt whose keys and values were there already, save the trunk's. */
  numCachedOf(sequence: Tokens): number {
    return this.#states.get(sequence)?.numCached ?? 0;
  }

  /**
   * A middle that sequences may run on from now on.
   * @param name that no other has
   * @param stages one after the other; at least one, and disposed with the runner
   */
  addMiddle(name: string, stages: readonly Stage[]): void {
    this.#middles.add(name, stages);
  }

  /**
   * Takes out a middle that no sequence is on.
   * @returns its stages, which are the caller's to dispose
   */
  removeMiddle(name: string): readonly Stage[] {
    const middle = this.#middles.get(name);
    if (this.#states.isUsed(middle)) throw new Error(`Middle ${name} is in use.`);
    this.#middles.remove(name);
    // Another one of this name may differ.
    this.#prefixCache?.forget(name);
    return middle.stages;
  }

  /** The trunk has seen the whole prompt, and nobody has said which middle goes on. */
  needsMiddle(sequence: Tokens): boolean {
    return this.#prefill.needsMiddle(sequence);
  }

  /** Says what a sequence that needs a middle runs on. */
  async setMiddle(sequence: Tokens, name: string): Promise<void> {
    await this.#prefill.setMiddle(sequence, name);
  }

  /** Prompt tokens of a sequence that have still to pass the head. */
  numLeftOf(sequence: Tokens): number {
    return this.#prefill.numLeftOf(sequence) ?? sequence.numTokens;
  }

  /** What the next part of a sequence's prefill is. */
  partOf(sequence: Tokens): PartShape {
    return this.#prefill.shapeOf(sequence);
  }

  /**
   * The next part of a prefill: a chunk in one stage. After the last chunk of the trunk the sequence needs a middle; it
   * gets the unpruned one where none is set before the next part.
   * @throws InferenceError
   */
  async prefill(sequence: Tokens): Promise<PrefillPart> {
    return this.#prefill.step(sequence);
  }

  /** One step over a text that is there already. @throws InferenceError */
  async score(sequence: Tokens, options: ScoreOptions): Promise<ScoreStep> {
    return scoreStep(this.#chunks, this.#states, sequence, options);
  }

  /**
   * Gives every decoding sequence room for one more token, in as few batches as `maxBytes` of KV
   * memory allow, with all that the others are going to need. What each needs by itself must fit.
   */
  async arrange(maxBytes: number): Promise<void> {
    await this.#decode.makeRoom(maxBytes);
  }

  /** Tokens of a sequence that may be guessed in the next decode step. */
  draftRoomOf(sequence: Tokens): number {
    return this.#decode.draftRoomOf(sequence);
  }

  /**
   * One token for each sequence whose prefill is through, after `arrange`, and those that are guessed to follow it; where
   * few of the sequences take much of the time, they sit out some steps.
   * @param drafts no more than `draftRoomOf` of each. @default none
   * @param onFailure told of the sequences whose pass through a middle failed: they are released, and all others go on.
   *   @default the whole step fails
   * @returns logits `[1 + guessed tokens, vocabSize]` by sequence, of those that took part
   * @throws InferenceError
   */
  async decode(
    drafts: Drafts = new Map(),
    onFailure: OnDecodeFailure = (_, error) => {
      throw error;
    },
  ): Promise<Map<Tokens, Float32Array>> {
    return this.#decode.step(drafts, onFailure);
  }

  /** Forgets those guesses of the last decode step that have not become tokens of the sequence. */
  async takeBack(sequence: Tokens): Promise<void> {
    await this.#decode.takeBack(sequence);
  }

  /** Frees a sequence's KV. May be called twice. */
  release(sequence: Tokens): void {
    this.#states.release(sequence);
  }

  async dispose(): Promise<void> {
    this.#states.releaseAll();
    this.#prefixCache?.clear();
    await this.#middles.dispose();
  }
}
