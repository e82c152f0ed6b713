import { performance } from "node:perf_hooks";
import { setImmediate } from "node:timers/promises";
import { parentPort, workerData } from "node:worker_threads";

import { SeapError } from "../../model/errors.ts";
import { openModel } from "../../model/weights/open-model.ts";
import type { PromptRouter } from "../../router/prompt-router.ts";
import { EngineLoop } from "../run/engine-loop.ts";
import type { EngineOutput } from "../run/engine-loop.ts";
import { timedPositions } from "../experts/step-timer.ts";
import { ExpertService } from "../experts/expert-service.ts";
import { Grammars } from "../grammar/grammars.ts";
import { kvBudget } from "../run/kv-budget.ts";
import { loadStages } from "../run/load-stages.ts";
import { MemoryReport } from "../run/memory-report.ts";
import { ModelRunner } from "../run/model-runner.ts";
import { openDevice } from "../device/open-device.ts";
import { stackOf, toRequestFailure } from "../contract/request-failure.ts";
import { steadySeconds } from "./steady-clock.ts";
import { StepMeter } from "../contract/step-meter.ts";
import type { FromWorker, ToWorker, WorkerOptions, WorkerOutput } from "./worker-protocol.ts";

/** What a router must fit. */
export interface RoutedModel {
  readonly contentHash: string;
  readonly hiddenSize: number;
}

/** Reads a router's file. @throws SeapError when it is no router, or not one of the model. */
export type OpenRouter = (path: string, model: RoutedModel) => PromptRouter;

interface Loaded {
  readonly runner: ModelRunner;
  readonly loop: EngineLoop;
  readonly experts: ExpertService | null;
  readonly wakeUp: WakeUp;
  readonly memory: MemoryReport;
  readonly model: RoutedModel;
}

const port = parentPort!;
const options = workerData as WorkerOptions;
const send = (message: FromWorker) => port.postMessage(message);

/**
 * The engine's thread: `session.run` blocks it, so nothing else lives there. Settles when the engine is closed, or
 * cannot be loaded. A failure after that is a defect: it ends the worker with an `error` event.
 */
export async function runWorker(openRouter: OpenRouter): Promise<void> {
  let loaded: Loaded;
  try {
    loaded = await load();
  } catch (error) {
    send({ type: "load_failed", message: problemOf(error) });
    port.close();
    return;
  }
  await serve(loaded, openRouter);
}

async function load(): Promise<Loaded> {
  const { weights } = await openModel(options.modelPath);
  try {
    const { ropeInverseFrequencies, vocabSize, hiddenSize } = weights.config;
    const { threads: numThreads, maxBatch } = options;
    const device = await openDevice({ numThreads, maxBatch, ropeInverseFrequencies });
    const stages = await loadStages(device, weights, options.weights, (name) =>
      send({ type: "progress", text: `building ${name} (${options.weights})` }),
    );
    const meter = new StepMeter(() => performance.now());
    const { prefillChunk, prefixCacheBytes } = options;
    const runner = new ModelRunner({ device, stages, prefillChunk, prefixCacheBytes, meter });
    const grammars = new Grammars(options.tokenTable, vocabSize);
    const wakeUp = new WakeUp();
    const experts: ExpertService | null =
      options.experts === undefined
        ? null
        : await ExpertService.start({
            ...{ device, runner, stages, vocabSize, send },
            experts: options.experts,
            freeKvBytes: () => loop.freeKvBytes,
            log: (text) => send({ type: "progress", text }),
            onProblem: reportProblem,
            onWork: () => wakeUp.call(),
          });
    const loop = new EngineLoop({
      runner,
      meter,
      vocabulary: {
        table: options.tokenTable,
        size: vocabSize,
        grammars,
      },
      maxBatch,
      kvBudgetBytes: sequenceBytesOf(runner),
      now: () => performance.now(),
      ...(experts && {
        experts: experts.pool,
        maxParked: options.experts!.maxParked,
        kvBorrower: experts.shadow,
        onWork: () => wakeUp.call(),
        onFinish: (sequence) => experts.shadow.offer(sequence),
      }),
      onProblem: reportProblem,
      emit: (outputs) =>
        send({
          type: "outputs",
          outputs: outputs.map(toWorkerOutput),
          memory: memory.take(),
          report: meter.take(),
          sentAtSeconds: steadySeconds(),
        }),
    });
    const memory = new MemoryReport(() => ({
      kvCacheUsage: loop.kvCacheUsage,
      ...{ kvBytes: device.kvBytes, weightBytes: device.weightBytes },
      ...{ prefixCacheBytes: runner.prefixCacheBytes, grammarCacheBytes: grammars.sizeBytes },
    }));
    return {
      ...{ runner, loop, experts, wakeUp, memory },
      model: { contentHash: weights.contentHash, hiddenSize },
    };
  } finally {
    weights.close();
  }
}

function sequenceBytesOf(runner: ModelRunner): number {
  const { kvMemoryBytes: maxBytes, contextLength } = options;
  const { totalBytes, sequenceBytes } = kvBudget(runner, {
    ...{ maxBytes, contextLength },
    timedPositions: options.experts === undefined ? 0 : timedPositions,
  });
  if (totalBytes > maxBytes) {
    const mebibytes = (bytes: number) => `${Math.ceil(bytes / 2 ** 20)} MiB`;
    send({
      type: "progress",
      text:
        `keys and values get ${mebibytes(totalBytes)} instead of ${mebibytes(maxBytes)}: a sequence ` +
        `of ${contextLength} tokens needs that; a smaller --context-length needs less`,
    });
  }
  return sequenceBytes;
}

function toWorkerOutput(output: EngineOutput): WorkerOutput {
  if (!("error" in output)) return output;
  return { id: output.id, error: toRequestFailure(output.error) };
}

async function serve(loaded: Loaded, openRouter: OpenRouter): Promise<void> {
  const { runner, loop, experts, wakeUp, memory } = loaded;
  let closing = false;
  const receive = (message: ToWorker): void => {
    switch (message.type) {
      case "generate":
        return loop.add(message.request);
      case "cancel":
        return loop.cancel(message.id);
      case "use_router":
        return useRouter(loaded, message.path, openRouter);
      case "command_expert":
        return experts ? experts.receive(message) : refuse(message.id);
      case "build_progress":
      case "builder_done":
      case "builder_failed":
        return experts?.receive(message);
      case "ping":
        return send({ type: "pong" });
      case "close":
        closing = true;
    }
  };
  port.on("message", (message: ToWorker) => {
    try {
      receive(message);
    } catch (error) {
      reportProblem(error);
    }
    wakeUp.call();
  });
  port.on("messageerror", reportProblem);
  tellMemory(memory);
  send({ type: "ready" });
  experts?.turnstile.close();
  while (!closing) {
    wakeUp.reset();
    if (loop.hasWork) await loop.step();
    else if (!experts?.turnstile.hasJobs && experts?.shadow.hasWork) await experts.shadow.step();
    await experts?.turnstile.next();
    tellMemory(memory);
    const isIdle = !loop.hasWork && !experts?.turnstile.hasJobs && !experts?.shadow.hasWork;
    if (isIdle) await wakeUp.called;
    // Lets messages in between two steps, also when a step had nothing to run.
    else await setImmediate();
  }
  loop.abandon();
  await experts?.close();
  await runner.dispose();
  port.close();
}

function tellMemory(report: MemoryReport): void {
  const memory = report.takeChange();
  if (memory) send({ type: "memory", memory });
}

/** Something to wait for when there is nothing to do. */
class WakeUp {
  called!: Promise<void>;
  call!: () => void;

  constructor() {
    this.reset();
  }

  /** Waits for the next call; one before this counts no more. */
  reset(): void {
    this.called = new Promise((resolve) => (this.call = resolve));
  }
}

function reportProblem(error: unknown): void {
  send({ type: "problem", text: stackOf(error) });
}

function refuse(id: number): void {
  send({ type: "expert_refused", id, message: "This engine was started without experts." });
}

function useRouter({ loop, model }: Loaded, path: string, openRouter: OpenRouter): void {
  try {
    loop.useRouter(openRouter(path, model));
    send({ type: "router_used" });
  } catch (error) {
    if (!(error instanceof SeapError)) reportProblem(error);
    send({ type: "router_failed", message: problemOf(error) });
  }
}

/** What is wrong, without the path of the model, which the other side names. */
function problemOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const prefix = `${options.modelPath}: `;
  return error.message.startsWith(prefix) ? error.message.slice(prefix.length) : error.message;
}
