import { readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { downloadFile, HubApiError, listFiles, modelInfo } from "@huggingface/hub";
import { z } from "zod";
import { ModelLoadError } from "../errors.ts";
import { installFile, saveFile, withTempDir } from "../files/file-cache.ts";
import { chooseHubFiles, type HubChoice, type HubFile } from "./hub-choice.ts";
import { parseJson } from "../files/json-file.ts";
import type { SourceOptions } from "./source-options.ts";

const defaultEndpoint = "https://huggingface.co";

/** Says what a finished download consists of, so that it is found again without the hub. */
const recordSchema = z.strictObject({
  commit: z.string(),
  path: z.string(),
  files: z.array(z.strictObject({ path: z.string(), sizeBytes: z.number() })),
});

/**
 * Brings a model of the Hugging Face Hub into the cache folder and returns the path of its GGUF file or
 * folder. Only what is missing is downloaded. When the hub cannot be reached, the commit that was
 * downloaded last is used.
 * @throws ModelLoadError when the repository or file does not exist, the choice is ambiguous, or the hub
 * cannot be reached and the cache folder does not have the model.
 */
export async function fetchHubModel(
  repo: string,
  file: string | undefined,
  options: SourceOptions,
): Promise<string> {
  const spec = file === undefined ? `hf:${repo}` : `hf:${repo}:${file}`;
  const repoDir = join(options.cacheDir, "hub", repo.replace("/", "--"));
  const recordPath = join(repoDir, `${encodeURIComponent(file ?? "default")}.json`);
  if (options.offline) {
    const cached = await cachedModel(repoDir, recordPath);
    if (cached) return cached;
    throw new ModelLoadError(spec, "is not in the cache folder, and downloads are switched off");
  }

  let commit: string;
  let choice: HubChoice;
  try {
    commit = await currentCommit(repo, options);
    choice = chooseHubFiles(spec, await listRepository(repo, commit, options), file);
  } catch (error) {
    if (error instanceof ModelLoadError) throw error;
    const cached = isRefusal(error) ? undefined : await cachedModel(repoDir, recordPath);
    if (!cached) throw new ModelLoadError(spec, describeHubError(error, options), { cause: error });
    options.log(`${spec}: ${describeHubError(error, options)}; using what was downloaded before`);
    return cached;
  }

  const snapshotDir = join(repoDir, "snapshots", commit);
  await withTempDir(options.cacheDir, async (tempDir) => {
    await downloadMissing(repo, commit, choice.files, snapshotDir, tempDir, options);
    const record: z.infer<typeof recordSchema> = {
      commit,
      path: choice.path,
      files: choice.files.map(({ path, sizeBytes }) => ({ path, sizeBytes })),
    };
    const tempRecord = join(tempDir, "record.json");
    await writeFile(tempRecord, JSON.stringify(record), { flush: true });
    await installFile(tempRecord, recordPath);
  });
  return join(snapshotDir, choice.path);
}

/** Downloads one file of a fixed commit to a path that does not exist yet. */
export async function downloadHubFile(
  { repo, revision, path }: { repo: string; revision: string; path: string },
  target: string,
  onChunk: (sizeBytes: number) => void,
  options: SourceOptions,
): Promise<{ sizeBytes: number; sha256: string }> {
  const place = `${path} of ${repo}`;
  try {
    const blob = await downloadFile({ repo, revision, path, ...connection(options) });
    if (!blob) throw new ModelLoadError(place, "does not exist on the hub");
    const saved = await saveFile(target, blob.stream(), onChunk);
    if (saved.sizeBytes !== blob.size) {
      throw new ModelLoadError(
        place,
        `the download ended after ${saved.sizeBytes} bytes, expected ${blob.size}`,
      );
    }
    return saved;
  } catch (error) {
    if (error instanceof ModelLoadError) throw error;
    throw new ModelLoadError(place, describeHubError(error, options), { cause: error });
  }
}

/** A file on the hub of which parts are read. */
export interface HubContent {
  /** @throws ModelLoadError when the connection breaks */
  read(range: { readonly start: number; readonly end: number }): AsyncIterable<Uint8Array>;
}

/**
 * Opens a file of the hub.
 * @throws ModelLoadError when the hub cannot be reached, or has no such file, or one of other content
 */
export async function openHubFile(
  { repo, revision, path }: { repo: string; revision: string; path: string },
  sha256: string,
  options: SourceOptions,
): Promise<HubContent> {
  const place = `${path} of ${repo}`;
  const failed = (error: unknown): never => {
    if (error instanceof ModelLoadError) throw error;
    throw new ModelLoadError(place, describeHubError(error, options), { cause: error });
  };
  try {
    const files = await listRepository(repo, revision, options);
    const file = files.find((candidate) => candidate.path === path);
    if (!file) throw new ModelLoadError(place, "does not exist on the hub");
    if (file.sha256 !== sha256) {
      throw new ModelLoadError(place, `has SHA-256 ${file.sha256} on the hub, expected ${sha256}`);
    }
    const blob = await downloadFile({ repo, revision, path, ...connection(options) });
    if (!blob) throw new ModelLoadError(place, "does not exist on the hub");
    return {
      async *read({ start, end }) {
        try {
          for await (const chunk of blob.slice(start, end).stream()) yield chunk;
        } catch (error) {
          failed(error);
        }
      },
    };
  } catch (error) {
    return failed(error);
  }
}

/** `HF_ENDPOINT`, or the public hub. */
export function hubEndpoint(env: NodeJS.ProcessEnv): string {
  return (env["HF_ENDPOINT"] || defaultEndpoint).replace(/\/+$/, "");
}

function connection({ env }: SourceOptions): { hubUrl: string; accessToken?: string } {
  const token = env["HF_TOKEN"];
  return { hubUrl: hubEndpoint(env), ...(token ? { accessToken: token } : {}) };
}

async function currentCommit(repo: string, options: SourceOptions): Promise<string> {
  const info = await modelInfo({ name: repo, additionalFields: ["sha"], ...connection(options) });
  if (!/^[\w.-]+$/.test(info.sha)) throw new TypeError(`unexpected commit ${info.sha}`);
  return info.sha;
}

async function listRepository(
  repo: string,
  revision: string,
  options: SourceOptions,
): Promise<HubFile[]> {
  const files: HubFile[] = [];
  for await (const entry of listFiles({
    repo,
    revision,
    recursive: true,
    ...connection(options),
  })) {
    if (entry.type !== "file") continue;
    // Paths become paths in the cache folder.
    if (entry.path.split(/[\\/]/).some((part) => part === "" || part === "..")) continue;
    files.push({ path: entry.path, sizeBytes: entry.size, sha256: entry.lfs?.oid });
  }
  return files;
}

async function downloadMissing(
  repo: string,
  commit: string,
  files: readonly HubFile[],
  snapshotDir: string,
  tempDir: string,
  options: SourceOptions,
): Promise<void> {
  const missing: HubFile[] = [];
  for (const file of files) {
    const path = join(snapshotDir, file.path);
    const sizeBytes = await fileSize(path);
    if (sizeBytes === file.sizeBytes) continue;
    if (sizeBytes !== undefined) {
      options.log(
        `${path} is damaged (${sizeBytes} bytes, expected ${file.sizeBytes}): downloading it again`,
      );
    }
    missing.push(file);
  }
  const totalBytes = missing.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  let receivedBytes = 0;
  for (const [i, { path, sha256 }] of missing.entries()) {
    const tempPath = join(tempDir, String(i));
    const onChunk = (sizeBytes: number): void => {
      receivedBytes += sizeBytes;
      options.onProgress({ phase: "download", receivedBytes, totalBytes });
    };
    const saved = await downloadHubFile(
      { repo, revision: commit, path },
      tempPath,
      onChunk,
      options,
    );
    if (sha256 !== undefined && saved.sha256 !== sha256) {
      throw new ModelLoadError(
        `${path} of ${repo}`,
        `the download has SHA-256 ${saved.sha256}, expected ${sha256}`,
      );
    }
    await installFile(tempPath, join(snapshotDir, path));
  }
}

/** The path of a model that was downloaded before and is still whole. */
async function cachedModel(repoDir: string, recordPath: string): Promise<string | undefined> {
  const text = await readFile(recordPath, "utf8").catch(() => undefined);
  if (text === undefined) return undefined;
  const record = parseJson(recordPath, text, recordSchema);
  const snapshotDir = join(repoDir, "snapshots", record.commit);
  for (const { path, sizeBytes } of record.files) {
    if ((await fileSize(join(snapshotDir, path))) !== sizeBytes) return undefined;
  }
  return join(snapshotDir, record.path);
}

async function fileSize(path: string): Promise<number | undefined> {
  const info = await stat(path).catch(() => undefined);
  return info?.size;
}

/** The hub answered, and trying again later would not help. */
function isRefusal(error: unknown): boolean {
  return error instanceof HubApiError && [401, 403, 404].includes(error.statusCode);
}

function describeHubError(error: unknown, { env }: SourceOptions): string {
  const endpoint = hubEndpoint(env);
  if (isRefusal(error)) {
    return (
      `${endpoint} has no such repository, or it is private or gated: ` +
      `check the name${env["HF_TOKEN"] ? " and what HF_TOKEN may read" : " or set HF_TOKEN"}`
    );
  }
  // The library aborts a broken stream with a plain string.
  if (!(error instanceof Error)) return `${endpoint} cannot be reached (${String(error)})`;
  const reason = error.cause instanceof Error ? error.cause.message : error.message;
  return `${endpoint} cannot be reached (${reason})`;
}
