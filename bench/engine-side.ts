import { denseExpert } from "../engine/contract/experts.ts";
import { builtStages } from "../model/prepared/stage-source.ts";
import { loadStages } from "../engine/run/load-stages.ts";
import { ModelRunner } from "../engine/run/model-runner.ts";
import type { Tokens } from "../engine/contract/tokens.ts";
import { openDevice } from "../engine/device/open-device.ts";
import { openModel } from "../model/weights/open-model.ts";
import type { WeightFormat } from "../model/weights/quantize.ts";
import type { DecodeRun } from "./llama-peer.ts";

export interface EngineSideOptions {
  readonly modelPath: string;
  readonly weights: WeightFormat;
  readonly threads: number;
}

/** Fixed pseudo-random token ids, the same for both sides of the benchmark. */
const tokenAt = (i: number) => ((i * 7919 + 13) % 40_000) + 100;

class FixedTokens implements Tokens {
  readonly #ids: number[];

  constructor(length: number, first: number) {
    this.#ids = Array.from({ length }, (_, i) => tokenAt(first + i));
  }

  get numTokens(): number {
    return this.#ids.length;
  }

  get lastTokenId(): number {
    return this.#ids.at(-1)!;
  }

  tokenIds(start: number, end: number): Uint32Array {
    return Uint32Array.from(this.#ids.slice(start, end));
  }

  push(tokenId: number): void {
    this.#ids.push(tokenId);
  }
}

/** The bare engine: forward passes and greedy choice, no scheduler, worker or HTTP. */
export class EngineSide {
  readonly #runner: ModelRunner;

  constructor(runner: ModelRunner) {
    this.#runner = runner;
  }

  static async start(options: EngineSideOptions): Promise<EngineSide> {
    const { weights } = await openModel(options.modelPath);
    const device = await openDevice({ numThreads: options.threads, config: weights.config });
    const stages = await loadStages(device, builtStages(weights, options.weights, denseExpert));
    weights.close();
    const runner = new ModelRunner({ device, stages });
    return new EngineSide(runner);
  }

  /** @returns seconds from an empty KV cache to the logits of the last of `numTokens` tokens. */
  async prefill(numTokens: number): Promise<number> {
    const tokens = new FixedTokens(numTokens, 0);
    const startedAt = performance.now();
    await this.#prefill(tokens);
    const seconds = (performance.now() - startedAt) / 1000;
    this.#runner.release(tokens);
    return seconds;
  }

  /**
   * @param middleOf name of the middle of each sequence
   * @returns seconds of all steps together, without the prefill
   */
  async decode(
    { batch, context, tokens: numSteps }: DecodeRun,
    middleOf: (index: number) => string = () => denseExpert,
  ): Promise<number> {
    const sequences: FixedTokens[] = [];
    for (let i = 0; i < batch; i++) {
      const tokens = new FixedTokens(context, i);
      tokens.push(argmax(await this.#prefill(tokens, middleOf(i))));
      sequences.push(tokens);
    }
    await this.#step();
    const startedAt = performance.now();
    for (let step = 0; step < numSteps; step++) await this.#step();
    const seconds = (performance.now() - startedAt) / 1000;
    for (const tokens of sequences) this.#runner.release(tokens);
    return seconds;
  }

  /**
   * Decode steps of one sequence in which so many tokens are guessed, all of them wrong.
   * @returns seconds of all steps together
   */
  async guess(numGuesses: number, { context, tokens: numSteps }: Omit<DecodeRun, "batch">) {
    const tokens = new FixedTokens(context, 0);
    tokens.push(argmax(await this.#prefill(tokens)));
    const draft = Uint32Array.from({ length: numGuesses }, (_, i) => tokenAt(i));
    const drafts = new Map(numGuesses > 0 ? [[tokens, draft]] : []);
    const step = async () => {
      await this.#runner.arrange(Infinity);
      await this.#runner.decode(drafts);
      // So that each step is as the first.
      await this.#runner.takeBack(tokens);
    };
    await step();
    const startedAt = performance.now();
    for (let i = 0; i < numSteps; i++) await step();
    const seconds = (performance.now() - startedAt) / 1000;
    this.#runner.release(tokens);
    return seconds;
  }

  async close(): Promise<void> {
    await this.#runner.dispose();
  }

  async #prefill(tokens: Tokens, middle = denseExpert): Promise<Float32Array> {
    for (;;) {
      if (this.#runner.needsMiddle(tokens)) await this.#runner.setMiddle(tokens, middle);
      const step = await this.#runner.prefill(tokens);
      if (step.kind === "logits") return step.logits;
    }
  }

  async #step(): Promise<void> {
    await this.#runner.arrange(Infinity);
    const logits = await this.#runner.decode();
    for (const [tokens, row] of logits) (tokens as FixedTokens).push(argmax(row));
  }
}

function argmax(logits: Float32Array): number {
  let best = 0;
  for (let i = 1; i < logits.length; i++) if (logits[i]! > logits[best]!) best = i;
  return best;
}
