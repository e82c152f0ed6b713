import { createHash } from "node:crypto";
import { mkdir, statfs, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { installFile, withTempDir } from "../files/file-cache.ts";
import { stageSpec } from "../stages/build-stage.ts";
import { denseParts } from "../stages/model-stages.ts";
import { describeTensor } from "../stages/segment-file.ts";
import type { SegmentTensor } from "../stages/segment-file.ts";
import type { StageSpec } from "../stages/stage-spec.ts";
import type { ModelWeights } from "../weights/config.ts";
import { storedBytes } from "../weights/quantize.ts";
import type { WeightFormat } from "../weights/quantize.ts";
import { numParameters } from "../weights/tensor-shapes.ts";
import { buildInThreads } from "./build-threads.ts";
import {
  readStageWeights,
  readStoredTensors,
  removeOldFolders,
  tensorsFileName,
  touchFolder,
} from "./stage-folder.ts";
import { freeBuffers } from "./free-buffers.ts";
import { builtStages } from "./stage-source.ts";
import type { StageSource, UseStage } from "./stage-source.ts";

export interface PreparedStagesOptions {
  readonly modelPath: string;
  readonly format: WeightFormat;
  /** Of the middle. */
  readonly name: string;
  /** That build. */
  readonly numThreads: number;
  /** Where stages are kept that were built once; null keeps none. */
  readonly folder: string | null;
  /** Told when nothing is kept although it was to be. */
  readonly onProblem: (text: string) => void;
  /** Models of fewer weights are built in this thread and not kept. @default 50 million */
  readonly minParameters?: number;
}

/** Grows when stages are built in another way from the same weights. */
const preparedVersion = 1;
/** Of several models and formats; each takes as much of the disk as of memory. */
const numKept = 3;
/** Each holds a stage in memory. */
const maxThreads = 4;
const defaultMinParameters = 50_000_000;
/** Of the disk, that is left to others. */
const spareBytes = 2 ** 30;

/**
 * The stages of an unpruned model: from the folder where they were built before, else built in threads of their own, and
 * kept. Weights that are not quantised are read as fast from the model's file, and not kept.
 */
export function preparedStages(weights: ModelWeights, options: PreparedStagesOptions): StageSource {
  const { modelPath, format, name, folder, onProblem } = options;
  const { config, contentHash } = weights;
  if (numParameters(config) < (options.minParameters ?? defaultMinParameters)) {
    return builtStages(weights, format, name);
  }
  const parts = denseParts(config, format, name);
  const specs = parts.map((part) => stageSpec(config, part));
  const numThreads = Math.min(options.numThreads, maxThreads);
  const build = async (keepIn: string | null, use: UseStage) => {
    const workerData = { modelPath, contentHash, format, folder: keepIn };
    return buildInThreads(parts, workerData, numThreads, use);
  };
  if (folder === null || format === "f32") return async (use) => void (await build(null, use));

  const place = join(folder, keyOf(contentHash, format, specs));
  return async (use) => {
    const known = readStoredTensors(place);
    if (known?.length === specs.length) return useStored(place, specs, known, use);
    const problem = await roomProblem(folder, weights, format);
    if (problem !== null) {
      onProblem(problem);
      await build(null, use);
      return;
    }
    await withTempDir(folder, async (tempDir) => {
      const stored: SegmentTensor[][] = [];
      const areWritten = await build(tempDir, async (model, total) => {
        stored.push(Array.from(model.weights, ([each, tensor]) => describeTensor(each, tensor)));
        await use(model, total);
      });
      if (!areWritten) return onProblem(`prepared weights are not kept: ${folder} refused them`);
      await writeFile(join(tempDir, tensorsFileName), JSON.stringify(stored));
      // Another process may have been faster: its folder is as good.
      await installFile(tempDir, place).catch(() => undefined);
      await removeOldFolders(folder, numKept);
    });
  };
}

async function useStored(
  place: string,
  specs: readonly StageSpec[],
  stored: readonly SegmentTensor[][],
  use: UseStage,
): Promise<void> {
  touchFolder(place);
  for (const [index, spec] of specs.entries()) {
    const weights = readStageWeights(place, index, stored[index]!);
    await use({ spec, weights }, specs.length);
    freeBuffers(weights);
  }
}

function keyOf(contentHash: string, format: WeightFormat, specs: readonly StageSpec[]): string {
  const identity = JSON.stringify([preparedVersion, contentHash, format, specs]);
  return createHash("sha256").update(identity).digest("hex").slice(0, 32);
}

/** @returns why nothing can be kept, or null */
async function roomProblem(
  folder: string,
  { config }: ModelWeights,
  format: WeightFormat,
): Promise<string | null> {
  try {
    await mkdir(folder, { recursive: true });
    const { bavail, bsize } = await statfs(folder);
    // The head twice where it is the embedding.
    const numWeights = numParameters({ ...config, tiedEmbeddings: false });
    const neededBytes = storedBytes(1, numWeights, format) + spareBytes;
    if (bavail * bsize >= neededBytes) return null;
    const gigabytes = (bytes: number) => `${(bytes / 1e9).toFixed(1)} GB`;
    return (
      `prepared weights are not kept: ${folder} has ${gigabytes(bavail * bsize)} left, ` +
      `expected ${gigabytes(neededBytes)}`
    );
  } catch (error) {
    return `prepared weights are not kept: ${folder} cannot be written (${(error as Error).message})`;
  }
}
