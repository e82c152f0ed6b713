import { builtStages } from "../../model/prepared/stage-source.ts";
import type { ExecutionContext } from "ava";
import type { Device, Stage } from "../../engine/device/device.ts";
import { EngineLoop } from "../../engine/run/engine-loop.ts";
import type { KvBorrower } from "../../engine/contract/kv-borrower.ts";
import type { EngineLoopOptions, EngineOutput } from "../../engine/run/engine-loop.ts";
import { loadStages } from "../../engine/run/load-stages.ts";
import { ModelRunner } from "../../engine/run/model-runner.ts";
import type { ModelStages } from "../../engine/run/middles.ts";
import type { Tokens } from "../../engine/contract/tokens.ts";
import { openDevice } from "../../engine/device/open-device.ts";
import type { GenerateRequest, RoutedEvent } from "../../engine/contract/request.ts";
import type { Sequence } from "../../engine/sequence/sequence.ts";
import type { ModelWeights } from "../../model/weights/config.ts";
import type { WeightFormat } from "../../model/weights/quantize.ts";
import type { TokenTable } from "../../model/text/token-table.ts";
import { numberedTokens, tokenIdsOf } from "./requests.ts";

export interface LoadedStages {
  readonly device: Device;
  readonly stages: ModelStages;
  readonly weights: ModelWeights;
}

/** A model's stages on the CPU, released after the test. */
export async function loadModel(
  t: ExecutionContext,
  weights: ModelWeights,
  format: WeightFormat,
  numThreads = 1,
): Promise<LoadedStages> {
  const device = await openDevice({ numThreads, config: weights.config });
  return loadModelOn(t, device, weights, format);
}

/** A model's stages on some device, released after the test. */
export async function loadModelOn<Kind extends Device>(
  t: ExecutionContext,
  device: Kind,
  weights: ModelWeights,
  format: WeightFormat,
): Promise<LoadedStages & { readonly device: Kind }> {
  const stages = await loadStages(device, builtStages(weights, format, "dense"));
  t.teardown(async () => {
    for (const stage of [stages.trunk, ...stages.middle, stages.head]) await stage.dispose();
  });
  return { device, stages, weights };
}

export interface LoopOptions {
  /** @default 16 */
  readonly maxBatch?: number;
  /** @default 32 */
  readonly prefillChunk?: number;
  /** Its clock goes on by one millisecond whenever it is read. @default 0: one part of prefill a step */
  readonly maxGapMs?: number;
  /** @default 0 */
  readonly prefixCacheBytes?: number;
  /** KV memory in positions. @default no limit to speak of */
  readonly kvPositions?: number;
  /** @default `numberedTokens` without an end-of-sequence token */
  readonly table?: TokenTable;
  /** Besides dense. */
  readonly middles?: ReadonlyMap<string, readonly Stage[]>;
  /** @default dense for all */
  readonly experts?: EngineLoopOptions["experts"];
  readonly maxParked?: number;
  readonly onWork?: () => void;
  readonly onProblem?: (error: unknown) => void;
  readonly onFinish?: (sequence: Sequence) => void;
  readonly kvBorrower?: KvBorrower;
  readonly speculation?: EngineLoopOptions["speculation"];
}

/** Remembers who took part in the last decode pass. */
class WatchedRunner extends ModelRunner {
  lastBatch: string[] = [];

  override async decode(
    ...options: Parameters<ModelRunner["decode"]>
  ): Promise<Map<Tokens, Float32Array>> {
    this.lastBatch = [];
    const logits = await super.decode(...options);
    this.lastBatch = Array.from(logits.keys(), (sequence) => (sequence as Sequence).id);
    return logits;
  }
}

interface Answer {
  text: string;
  readonly routes: RoutedEvent[];
  numStarts: number;
  numParks: number;
  numTokens: number;
  finish: Extract<EngineOutput, { event: unknown }>["event"] | null;
  error: Error | null;
}

/** An engine loop whose steps the test takes, and what came out of it. */
export class LoopRun {
  readonly loop: EngineLoop;
  readonly runner: WatchedRunner;
  readonly kvBytesPerPosition: number;
  readonly answers = new Map<string, Answer>();
  /** Ids in the order in which their prefills began. */
  readonly started: string[] = [];
  largestUsage = 0;

  constructor({ device, stages, weights }: LoadedStages, options: LoopOptions = {}) {
    const { maxBatch = 16, prefillChunk = 32, kvPositions = 1 << 20 } = options;
    const { middles = new Map<string, readonly Stage[]>(), experts } = options;
    const { maxParked, onWork, onFinish, onProblem, maxGapMs = 0 } = options;
    const { vocabSize } = weights.config;
    const { prefixCacheBytes = 0 } = options;
    this.runner = new WatchedRunner({ device, stages, prefillChunk, prefixCacheBytes });
    for (const [name, middle] of middles) this.runner.addMiddle(name, middle);
    this.kvBytesPerPosition = this.runner.kvBytesFor(1) / 64;
    let now = 0;
    this.loop = new EngineLoop({
      runner: this.runner,
      vocabulary: { table: options.table ?? numberedTokens(vocabSize), size: vocabSize },
      maxBatch,
      kvBudgetBytes: kvPositions * this.kvBytesPerPosition,
      now: () => ++now,
      maxGapMs,
      ...(experts && { experts }),
      ...(maxParked !== undefined && { maxParked }),
      ...(onWork && { onWork }),
      ...(onProblem && { onProblem }),
      ...(onFinish && { onFinish }),
      ...(options.speculation && { speculation: options.speculation }),
      ...(options.kvBorrower && { kvBorrower: options.kvBorrower }),
      emit: (outputs) => outputs.forEach((output) => this.#record(output)),
    });
  }

  add(request: GenerateRequest): void {
    this.answers.set(request.id, {
      text: "",
      routes: [],
      numStarts: 0,
      numParks: 0,
      numTokens: 0,
      finish: null,
      error: null,
    });
    this.loop.add(request);
  }

  async step(numSteps = 1): Promise<void> {
    for (let i = 0; i < numSteps; i++) {
      await this.loop.step();
      this.largestUsage = Math.max(this.largestUsage, this.loop.kvCacheUsage);
    }
  }

  /** Steps until nothing is left; throws where that takes more than `maxSteps`. */
  async runToEnd(maxSteps = 2000): Promise<void> {
    for (let step = 0; !this.loop.isIdle; step++) {
      if (step === maxSteps) throw new Error(`not idle after ${maxSteps} steps`);
      await this.step();
    }
  }

  answer(id: string): Answer {
    return this.answers.get(id)!;
  }

  text(id: string): string {
    return this.answer(id).text;
  }

  tokenIds(id: string): number[] {
    return tokenIdsOf(this.text(id));
  }

  /** The requests of the last decode pass that have not come to their end. */
  runningIds(): string[] {
    return this.runner.lastBatch.filter((id) => {
      const { finish, error } = this.answer(id);
      return finish === null && error === null;
    });
  }

  #record(output: EngineOutput): void {
    const answer = this.answers.get(output.id)!;
    if (answer.finish ?? answer.error) throw new Error(`${output.id}: output after the end`);
    if ("error" in output) {
      answer.error = output.error;
      return;
    }
    const { event } = output;
    if (event.type === "started") {
      answer.numStarts++;
      this.started.push(output.id);
    } else if (event.type === "routed") {
      if (answer.numTokens > 0) throw new Error(`${output.id}: routed after the first token`);
      answer.routes.push(event);
    } else if (event.type === "parked") {
      answer.numParks++;
    } else if (event.type !== "accepted") {
      answer.text += event.text;
      answer.numTokens += event.numTokens;
      if (event.type === "finish") answer.finish = event;
    }
  }
}

/** The answer to one request with nobody else in the engine. */
export async function answerAlone(
  loaded: LoadedStages,
  request: GenerateRequest,
  options: LoopOptions = {},
): Promise<string> {
  const run = new LoopRun(loaded, options);
  run.add(request);
  await run.runToEnd();
  const { error, text } = run.answer(request.id);
  if (error) throw error;
  return text;
}
