import { randomUUID } from "node:crypto";
import { statSync } from "node:fs";
import { mkdir, open, readdir, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { ArtifactError, ModelLoadError } from "../errors.ts";
import { saveFile, withTempDir } from "../files/file-cache.ts";
import { readJsonFile } from "../files/json-file.ts";
import { TensorFile } from "../files/tensor-file.ts";

/** A finished folder of files, every byte of which was checked. */
export interface Artifact {
  readonly key: string;
  /** What its writer says of it, not yet checked for form. */
  readonly metadata: unknown;
  /** Those that the writer gave. */
  readonly fileNames: readonly string[];
  /** All files together. */
  readonly sizeBytes: number;
  /** Where a file lies. @throws ArtifactError when the artifact has no such file. */
  path(fileName: string): string;
}

/** A file of a new artifact: its name and its content, which is read once. */
export type ArtifactFile = readonly [
  name: string,
  content: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
];

const manifestName = "manifest.json";
const metadataName = "metadata.json";
const manifestVersion = 1;
const namePattern = /^[\w-][\w.-]*$/;

/** A flipped byte in it makes a hash, a size or a name wrong, so it needs no checksum of its own. */
const manifestSchema = z.strictObject({
  version: z.int(),
  files: z.array(
    z.strictObject({
      name: z.string().regex(namePattern),
      sizeBytes: z.int().nonnegative(),
      sha256: z.string(),
    }),
  ),
});

type Manifest = z.infer<typeof manifestSchema>;

/**
 * Folders of files by key in one folder, shared by any number of processes. A key names the content
 * through what it was made from, so an artifact that is there and whole is never written again.
 *
 * A folder is written under a temporary name, synced and then renamed: whenever a process dies, an
 * artifact is there whole or not at all. Each file's SHA-256 is in `manifest.json`.
 */
export class ArtifactStore {
  readonly dir: string;

  /** @param dir made when it is first written to */
  constructor(dir: string) {
    this.dir = dir;
  }

  /**
   * The artifact of a key, or null where there is none. Reads every byte.
   * @throws ArtifactError when it is damaged or written by another version: build it again.
   */
  async read(key: string): Promise<Artifact | null> {
    const dir = this.#place(key);
    for (;;) {
      const before = folderIdentity(dir);
      if (before === null) return null;
      try {
        return await readWhole(key, dir);
      } catch (error) {
        // Another process may have removed or replaced it meanwhile.
        if (folderIdentity(dir) === before) throw error;
      }
    }
  }

  /**
   * One file of an artifact, without a look at the others; null where there is no such artifact.
   * @throws ArtifactError when the file is damaged, or the artifact has none of this name.
   */
  async readFile(key: string, fileName: string): Promise<Uint8Array | null> {
    const dir = this.#place(key);
    if (!this.has(key)) return null;
    try {
      const file = readManifest(dir).files.find(({ name }) => name === fileName);
      if (file === undefined) throw new ArtifactError(dir, `has no file ${fileName}`);
      const path = join(dir, fileName);
      await checkFile(path, file);
      return await readFile(path);
    } catch (error) {
      // Another process may have removed it meanwhile.
      if (!this.has(key)) return null;
      throw error;
    }
  }

  /** Whether there is one, whole or damaged. */
  has(key: string): boolean {
    return folderIdentity(this.#place(key)) !== null;
  }

  /**
   * Writes an artifact, one file after the other. One that another process finished meanwhile is kept,
   * a damaged one replaced.
   * @param metadata anything that JSON can hold
   * @throws ModelLoadError when the disk refuses, and whatever the files' content throws.
   */
  async write(
    key: string,
    metadata: unknown,
    files: Iterable<ArtifactFile> | AsyncIterable<ArtifactFile>,
  ): Promise<Artifact> {
    const place = this.#place(key);
    return withTempDir(this.dir, async (tempDir) => {
      const manifest: Manifest = { version: manifestVersion, files: [] };
      const save = async (name: string, content: ArtifactFile[1]): Promise<void> => {
        const saved = await saveFile(join(tempDir, name), chunksOf(content), () => undefined);
        manifest.files.push({ name, ...saved });
      };
      for await (const [name, content] of files) {
        if (!namePattern.test(name) || name === manifestName || name === metadataName) {
          throw new ArtifactError(place, `cannot have a file called ${JSON.stringify(name)}`);
        }
        await save(name, content);
      }
      await save(metadataName, jsonContent(metadata));
      const path = join(tempDir, manifestName);
      await saveFile(path, chunksOf(jsonContent(manifest)), () => undefined);
      await syncFolder(tempDir);
      const kept = await this.#install(key, tempDir);
      return kept ?? describe(key, place, metadata, manifest);
    });
  }

  /** Keys of what is there, whole or damaged, sorted. */
  async keys(): Promise<readonly string[]> {
    const entries = await readdir(this.dir, { withFileTypes: true }).catch(() => []);
    return entries
      .filter((entry) => entry.isDirectory() && entry.name !== tempName)
      .map(({ name }) => name)
      .sort();
  }

  /** Does nothing where there is none. Files that are being read stay readable. */
  async remove(key: string): Promise<void> {
    const trash = join(this.dir, tempName, randomUUID());
    await mkdir(join(this.dir, tempName), { recursive: true });
    try {
      // Out of sight at once, so that no reader finds half of it.
      await rename(this.#place(key), trash);
    } catch (error) {
      if (errorCode(error) === "ENOENT") return;
      throw error;
    }
    await rm(trash, { recursive: true, force: true });
  }

  /** Returns null, or the artifact that another process had in its place first. */
  async #install(key: string, tempDir: string): Promise<Artifact | null> {
    for (;;) {
      try {
        await rename(tempDir, this.#place(key));
        await syncFolder(this.dir);
        return null;
      } catch (error) {
        if (errorCode(error) !== "ENOTEMPTY" && errorCode(error) !== "EEXIST") throw error;
      }
      try {
        const present = await this.read(key);
        if (present !== null) return present;
      } catch (error) {
        if (!(error instanceof ArtifactError)) throw error;
        await this.remove(key);
      }
    }
  }

  #place(key: string): string {
    if (!namePattern.test(key) || key === tempName) {
      throw new ArtifactError(this.dir, `cannot have an artifact called ${JSON.stringify(key)}`);
    }
    return join(this.dir, key);
  }
}

/** Where `withTempDir` puts its folders. */
const tempName = "tmp";

/** Changes when the folder is replaced; null where there is none. */
function folderIdentity(dir: string): bigint | null {
  return statSync(dir, { bigint: true, throwIfNoEntry: false })?.ino ?? null;
}

async function readWhole(key: string, dir: string): Promise<Artifact> {
  try {
    const manifest = readManifest(dir);
    for (const file of manifest.files) await checkFile(join(dir, file.name), file);
    const metadata = readJsonFile(join(dir, metadataName), z.unknown());
    return describe(key, dir, metadata, manifest);
  } catch (cause) {
    // Whatever cannot be read in an artifact makes it a damaged one.
    if (!(cause instanceof ModelLoadError)) throw cause;
    throw new ArtifactError(dir, `is damaged (${cause.message})`, { cause });
  }
}

function describe(key: string, dir: string, metadata: unknown, { files }: Manifest): Artifact {
  const fileNames = files.map(({ name }) => name).filter((name) => name !== metadataName);
  return {
    key,
    metadata,
    fileNames,
    sizeBytes: files.reduce((total, { sizeBytes }) => total + sizeBytes, 0),
    path(name) {
      if (fileNames.includes(name)) return join(dir, name);
      throw new ArtifactError(dir, `has no file ${name}, only ${fileNames.join(", ")}`);
    },
  };
}

function readManifest(dir: string): Manifest {
  const path = join(dir, manifestName);
  const { version } = readJsonFile(path, z.looseObject({ version: z.int() }));
  if (version === manifestVersion) return readJsonFile(path, manifestSchema);
  throw new ArtifactError(path, `has version ${version}, expected ${manifestVersion}`);
}

async function checkFile(
  path: string,
  expected: { readonly sizeBytes: number; readonly sha256: string },
): Promise<void> {
  const file = new TensorFile(path);
  try {
    if (file.sizeBytes !== expected.sizeBytes) {
      throw new ArtifactError(
        path,
        `has ${file.sizeBytes} bytes, expected ${expected.sizeBytes}: it is damaged`,
      );
    }
    const sha256 = await file.sha256();
    if (sha256 !== expected.sha256) {
      throw new ArtifactError(path, `has SHA-256 ${sha256}, expected ${expected.sha256}`);
    }
  } finally {
    file.close();
  }
}

async function* chunksOf(content: ArtifactFile[1]): AsyncIterable<Uint8Array> {
  yield* content;
}

function jsonContent(value: unknown): readonly Uint8Array[] {
  return [Buffer.from(`${JSON.stringify(value, null, 2)}\n`)];
}

/** Makes renames inside the folder last through a power cut; not every system can. */
async function syncFolder(dir: string): Promise<void> {
  const handle = await open(dir, "r").catch(() => null);
  if (handle === null) return;
  try {
    await handle.sync().catch(() => undefined);
  } finally {
    await handle.close();
  }
}

function errorCode(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException).code;
}
