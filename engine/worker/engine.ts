import { Worker } from "node:worker_threads";

import { ModelLoadError } from "../../model/errors.ts";
import type { ExpertBuilder, ExpertOptions } from "../contract/experts.ts";
import type { Engine } from "../contract/request.ts";
import { systemTimer } from "../contract/timer.ts";
import type { SetTimer } from "../contract/timer.ts";
import { WorkerEngine } from "./worker-engine.ts";
import type { FromWorker, WorkerOptions } from "./worker-protocol.ts";

export interface EngineOptions extends Omit<WorkerOptions, "experts"> {
  readonly vocabSize: number;
  /** Requests that may wait. */
  readonly maxWaitingRequests: number;
  /** Prompt tokens that may wait, of all waiting requests together. */
  readonly maxWaitingTokens: number;
  /** The builder works in this thread. Absent where the dense model answers everything. */
  readonly experts?: { readonly options: ExpertOptions; readonly builder: ExpertBuilder };
  /** Called with a line for a person while the model loads, and when something happens to an expert. */
  readonly onProgress?: (text: string) => void;
  /** Called with what went wrong without costing an answer, for the log. */
  readonly onProblem?: (text: string) => void;
  /** How long the engine's thread may leave a message unanswered; 0 is for ever. @default 0 */
  readonly answerTimeoutMs?: number;
  /** @default the machine's */
  readonly setTimer?: SetTimer;
  /** Module that calls `runWorker`. @default one that knows no routers */
  readonly worker?: URL;
}

/**
 * Starts the engine's worker and waits until the model is loaded.
 * @throws ModelLoadError
 */
export async function startEngine(options: EngineOptions): Promise<Engine> {
  const {
    onProgress = () => undefined,
    onProblem = () => undefined,
    answerTimeoutMs = 0,
    setTimer = systemTimer,
    vocabSize,
    maxWaitingRequests,
    maxWaitingTokens,
    experts,
    worker: entry = new URL("./worker.js", import.meta.url),
    ...rest
  } = options;
  const workerData: WorkerOptions = { ...rest, ...(experts && { experts: experts.options }) };
  const worker = new Worker(entry, { name: "engine", workerData });
  const { contextLength, maxBatch } = options;
  const engine = new WorkerEngine(worker, {
    limits: { contextLength, vocabSize, maxBatch, maxWaitingRequests },
    maxWaitingTokens,
    builder: experts?.builder ?? null,
    ...{ onProgress, onProblem, answerTimeoutMs, setTimer },
  });
  await new Promise<void>((resolve, reject) => {
    const fail = (problem: string) => reject(new ModelLoadError(options.modelPath, problem));
    const onExit = (code: number) => fail(`the engine's worker ended with code ${code}`);
    const onError = (error: Error) => fail(`the engine's worker failed: ${error.message}`);
    const onMessage = (message: FromWorker) => {
      if (message.type === "load_failed") fail(message.message);
      else if (message.type === "ready") resolve();
      else return;
      worker.off("exit", onExit).off("error", onError).off("message", onMessage);
    };
    worker.on("exit", onExit).on("error", onError).on("message", onMessage);
  });
  engine.watch();
  return engine;
}
