import { preparedStages } from "../../model/prepared/prepared-stages.ts";
import { denseExpert } from "../contract/experts.ts";
import { performance } from "node:perf_hooks";
import { parentPort, workerData } from "node:worker_threads";

import { openModel } from "../../model/weights/open-model.ts";
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
import { messageOf, stackOf, toRequestFailure } from "../contract/request-failure.ts";
import { steadySeconds } from "./steady-clock.ts";
import { Speculation } from "../speculation/speculation.ts";
import { StepMeter } from "../contract/step-meter.ts";
import { type LoadedEngine, type OpenRouter, EngineServer } from "./engine-server.ts";
import { WakeUp } from "./wake-up.ts";
import type { FromWorker, WorkerOptions, WorkerOutput } from "./worker-protocol.ts";

const port = parentPort!;
const options = workerData as WorkerOptions;
const send = (message: FromWorker) => port.postMessage(message);

/**
 * The engine's thread: `session.run` blocks it, so nothing else lives there. Settles when the engine is closed, or
 * cannot be loaded. A failure after that is a defect: it ends the worker with an `error` event.
 */
export async function runWorker(openRouter: OpenRouter): Promise<void> {
  let loaded: LoadedEngine;
  try {
    loaded = await load();
  } catch (error) {
    send({ type: "load_failed", message: problemOf(error) });
    port.close();
    return;
  }
  await new EngineServer(loaded, { port, openRouter, onProblem: reportProblem }).run();
}

async function load(): Promise<LoadedEngine> {
  const { weights } = await openModel(options.modelPath, {
    contextLength: options.contextLength,
    ...(options.contentHash !== undefined && { contentHash: options.contentHash }),
  });
  try {
    const { config } = weights;
    const { vocabSize, hiddenSize } = config;
    const { threads: numThreads, maxBatch } = options;
    const device = await openDevice({ numThreads, maxBatch, config });
    const source = preparedStages(weights, {
      modelPath: options.modelPath,
      format: options.weights,
      name: denseExpert,
      numThreads,
      folder: options.preparedFolder ?? null,
      onProblem: (text) => send({ type: "problem", text }),
    });
    const stages = await loadStages(device, source, (name, number, total) => {
      const text = `loading ${name} (${options.weights}), ${number} of ${total}`;
      send({ type: "progress", text });
    });
    const now = () => performance.now();
    const meter = new StepMeter(now);
    const { prefillChunk, prefixCacheBytes, draftMax = 0 } = options;
    const runner = new ModelRunner({ device, stages, prefillChunk, prefixCacheBytes, meter, now });
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
      maxGapMs: options.maxGapMs,
      now,
      speculation: draftMax > 0 ? new Speculation({ mostTokens: draftMax }) : null,
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

function reportProblem(error: unknown): void {
  send({ type: "problem", text: stackOf(error) });
}

/** What is wrong, without the path of the model, which the other side names. */
function problemOf(error: unknown): string {
  const [message, prefix] = [messageOf(error), `${options.modelPath}: `];
  return message.startsWith(prefix) ? message.slice(prefix.length) : message;
}
