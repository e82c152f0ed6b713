import { setImmediate } from "node:timers/promises";
import type { Device, Stage } from "../../engine/device/device.ts";
import { EngineLoop } from "../../engine/run/engine-loop.ts";
import type { EngineOutput } from "../../engine/run/engine-loop.ts";
import { ModelRunner } from "../../engine/run/model-runner.ts";
import { openDevice } from "../../engine/device/open-device.ts";
import { greedy } from "../../engine/sequence/sampler.ts";
import type { ModelWeights } from "../../model/weights/config.ts";
import { buildHead, buildTrunk } from "../../model/stages/model-stages.ts";
import type { WeightFormat } from "../../model/weights/quantize.ts";
import type { StageModel } from "../../model/stages/stage-spec.ts";
import type { TokenTable } from "../../model/text/token-table.ts";
import type { AnswerGenerator, OpenGenerator } from "../../prune/evaluation/answer-generator.ts";

export interface EngineGeneratorOptions {
  readonly format: WeightFormat;
  readonly numThreads: number;
  readonly tokenTable: TokenTable;
  /** Ends answers in the making, with its reason. */
  readonly signal?: AbortSignal;
}

/** Answers written together. */
const maxBatch = 16;
/** Room for most problems with their answers; KV memory is taken as it is needed. */
const usualTokens = 1024;

/** The engine in this thread, with a middle of choice between trunk and head, which are loaded once. */
export class EngineGenerator implements AnswerGenerator {
  readonly #options: EngineGeneratorOptions;
  readonly #config: ModelWeights["config"];
  readonly #device: Device;
  readonly #trunk: Stage;
  readonly #head: Stage;

  private constructor(
    options: EngineGeneratorOptions,
    config: ModelWeights["config"],
    stages: { readonly device: Device; readonly trunk: Stage; readonly head: Stage },
  ) {
    this.#options = options;
    this.#config = config;
    this.#device = stages.device;
    this.#trunk = stages.trunk;
    this.#head = stages.head;
  }

  /** The caller disposes it. @throws InferenceError when a stage cannot be loaded. */
  static async load(
    weights: ModelWeights,
    options: EngineGeneratorOptions,
  ): Promise<EngineGenerator> {
    const { config } = weights;
    const device = await openDevice({ numThreads: options.numThreads, config });
    const trunk = await device.loadStage(buildTrunk(weights, options.format));
    const head = await device.loadStage(buildHead(weights, options.format));
    return new EngineGenerator(options, config, { device, trunk, head });
  }

  async open(segments: readonly StageModel[]): Promise<OpenGenerator> {
    const middle: Stage[] = [];
    for (const segment of segments) middle.push(await this.#device.loadStage(segment));
    const runner = new ModelRunner({
      device: this.#device,
      stages: { trunk: this.#trunk, middle, head: this.#head },
    });
    const { contextLength, vocabSize } = this.#config;
    const kvBudgetBytes = Math.max(
      maxBatch * runner.kvBytesFor(usualTokens),
      runner.kvBytesFor(contextLength),
    );
    return new MiddleGenerator(
      (emit) =>
        new EngineLoop({
          runner,
          vocabulary: { table: this.#options.tokenTable, size: vocabSize },
          maxBatch,
          kvBudgetBytes,
          now: () => performance.now(),
          emit,
        }),
      // Trunk and head stay; all sequences have left the runner.
      async () => {
        for (const stage of middle) await stage.dispose();
      },
      this.#options.signal,
    );
  }

  async dispose(): Promise<void> {
    await this.#trunk.dispose();
    await this.#head.dispose();
  }
}

interface Pending {
  text: string;
  readonly resolve: (text: string) => void;
  readonly reject: (error: unknown) => void;
}

class MiddleGenerator implements OpenGenerator {
  readonly close: () => Promise<void>;
  readonly #loop: EngineLoop;
  readonly #signal: AbortSignal | undefined;
  /** Answers that are not finished, by request. */
  readonly #pending = new Map<string, Pending>();
  #numRequests = 0;
  #isRunning = false;

  constructor(
    createLoop: (emit: (outputs: readonly EngineOutput[]) => void) => EngineLoop,
    close: () => Promise<void>,
    signal: AbortSignal | undefined,
  ) {
    this.#loop = createLoop((outputs) => outputs.forEach((output) => this.#take(output)));
    this.close = close;
    this.#signal = signal;
  }

  generate(promptTokenIds: Uint32Array, maxTokens: number): Promise<string> {
    const id = `answer-${this.#numRequests++}`;
    const text = new Promise<string>((resolve, reject) => {
      this.#pending.set(id, { text: "", resolve, reject });
    });
    this.#loop.add({ id, promptTokenIds, maxTokens, sampling: greedy, stop: [], ignoreEos: false });
    if (!this.#isRunning) void this.#run();
    return text;
  }

  async #run(): Promise<void> {
    this.#isRunning = true;
    try {
      while (!this.#loop.isIdle) {
        // Lets others add their prompts, and signals in.
        await setImmediate();
        this.#signal?.throwIfAborted();
        await this.#loop.step();
      }
    } catch (error) {
      for (const { reject } of this.#pending.values()) reject(error);
      this.#pending.clear();
    } finally {
      this.#isRunning = false;
    }
  }

  #take(output: EngineOutput): void {
    const pending = this.#pending.get(output.id);
    if (pending === undefined) return;
    if ("error" in output) {
      this.#pending.delete(output.id);
      pending.reject(output.error);
      return;
    }
    const { event } = output;
    if (!("text" in event)) return;
    pending.text += event.text;
    if (event.type !== "finish") return;
    this.#pending.delete(output.id);
    pending.resolve(pending.text);
  }
}
