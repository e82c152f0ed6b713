import { closeSync, fsyncSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import { parentPort, workerData } from "node:worker_threads";
import { ModelLoadError } from "../errors.ts";
import { buildStage } from "../stages/build-stage.ts";
import type { StagePart } from "../stages/build-stage.ts";
import { segmentBytes } from "../stages/segment-file.ts";
import type { StageModel } from "../stages/stage-spec.ts";
import type { StageWeights } from "../stages/stage-tensor.ts";
import { openModel } from "../weights/open-model.ts";
import type { WeightFormat } from "../weights/quantize.ts";
import { buffersOf } from "./free-buffers.ts";
import { weightsFileName } from "./stage-folder.ts";

/** Handed to the thread when it starts. */
export interface BuildWorkerData {
  readonly modelPath: string;
  readonly contentHash: string;
  readonly format: WeightFormat;
  /** Where weights are written to as well; null for nowhere. */
  readonly folder: string | null;
}

/** What the thread is asked for. */
export interface BuildOrder {
  /** Of the part among all. */
  readonly index: number;
  readonly part: StagePart;
}

/** What it answers to each order, in their order. */
export type BuildAnswer =
  | { readonly type: "built"; readonly model: StageModel; readonly isWritten: boolean }
  | { readonly type: "failed"; readonly path: string; readonly problem: string };

const { modelPath, contentHash, format, folder } = workerData as BuildWorkerData;
const port = parentPort!;
const opened = openModel(modelPath, { contentHash });

port.on("message", (order: BuildOrder) => {
  void build(order).catch((error: unknown) => {
    if (!(error instanceof ModelLoadError)) throw error;
    const { path, message } = error;
    port.postMessage({ type: "failed", path, problem: message } satisfies BuildAnswer);
  });
});

async function build({ index, part }: BuildOrder): Promise<void> {
  const { weights } = await opened;
  const model = buildStage(weights, { ...part, format });
  const isWritten = folder !== null && write(join(folder, weightsFileName(index)), model.weights);
  const answer: BuildAnswer = { type: "built", model, isWritten };
  port.postMessage(answer, buffersOf(model.weights));
}

/** @returns false when the disk refuses */
function write(path: string, weights: StageWeights): boolean {
  try {
    const file = openSync(path, "wx");
    try {
      for (const bytes of segmentBytes(weights)) {
        for (let at = 0; at < bytes.length;) at += writeSync(file, bytes, at);
      }
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    return true;
  } catch {
    return false;
  }
}
