import { readFileSync, rmSync, statSync, utimesSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { ModelLoadError } from "../errors.ts";
import { TensorFile } from "../files/tensor-file.ts";
import { readSegment, segmentSize, storedTensorSchema } from "../stages/segment-file.ts";
import type { SegmentTensor } from "../stages/segment-file.ts";
import type { StageWeights } from "../stages/stage-tensor.ts";

/** Written last: a folder that has it was finished. */
export const tensorsFileName = "tensors.json";

/** Of each stage, in order. */
const tensorsSchema = z.array(z.array(storedTensorSchema));

export function weightsFileName(index: number): string {
  return `${index}.bin`;
}

/** The tensors of the stages of a folder; null where there is none, or one whose files are not those that were written. */
export function readStoredTensors(folder: string): readonly SegmentTensor[][] | null {
  try {
    const text = readFileSync(join(folder, tensorsFileName), "utf8");
    const stored = tensorsSchema.parse(JSON.parse(text));
    const isWhole = stored.every((tensors, index) => {
      return statSync(join(folder, weightsFileName(index))).size === segmentSize(tensors);
    });
    return isWhole ? stored : null;
  } catch {
    return null;
  }
}

/** @throws ModelLoadError when the file has been changed meanwhile */
export function readStageWeights(
  folder: string,
  index: number,
  tensors: readonly SegmentTensor[],
): StageWeights {
  const path = join(folder, weightsFileName(index));
  const file = new TensorFile(path);
  try {
    const bytes = new Uint8Array(file.sizeBytes);
    file.readBytes(0, bytes);
    const weights = readSegment(tensors, bytes);
    if (weights === null) throw new ModelLoadError(path, "has not the size of its weights");
    return weights;
  } finally {
    file.close();
  }
}

/** Notes that a folder is used, for {@link removeOldFolders}. */
export function touchFolder(folder: string): void {
  const now = new Date();
  try {
    utimesSync(join(folder, tensorsFileName), now, now);
  } catch {
    // A folder that may only be read is not removed from here either.
  }
}

/** Removes all folders but those that were used last. */
export async function removeOldFolders(parent: string, numKept: number): Promise<void> {
  const names = await readdir(parent).catch(() => []);
  const folders = names.flatMap((name) => {
    const path = join(parent, name);
    const info = statSync(join(path, tensorsFileName), { throwIfNoEntry: false });
    return info ? [{ path, usedAt: info.mtimeMs }] : [];
  });
  folders.sort((a, b) => b.usedAt - a.usedAt);
  for (const { path } of folders.slice(numKept)) rmSync(path, { recursive: true, force: true });
}
