import { createHash, randomUUID } from "node:crypto";
import { mkdir, open, readdir, rename, rm, stat } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { ModelLoadError } from "../errors.ts";

/** What a process that was killed half-way left behind is removed after a day. */
const leftoverMs = 24 * 60 * 60 * 1000;

/** `$SEAP_CACHE_DIR`, or `seap-server` in the user's cache folder by the XDG rules. */
export function defaultCacheDir(env: NodeJS.ProcessEnv): string {
  if (env["SEAP_CACHE_DIR"]) return resolve(env["SEAP_CACHE_DIR"]);
  return join(env["XDG_CACHE_HOME"] || join(homedir(), ".cache"), "seap-server");
}

/** Runs `use` with a new folder inside the cache folder, which is removed when `use` has ended. */
export async function withTempDir<T>(
  cacheDir: string,
  use: (tempDir: string) => Promise<T>,
): Promise<T> {
  const parent = join(cacheDir, "tmp");
  await removeLeftovers(parent);
  const tempDir = join(parent, randomUUID());
  await writing(tempDir, () => mkdir(tempDir, { recursive: true }));
  try {
    return await use(tempDir);
  } finally {
    await rm(tempDir, { recursive: true, force: true });
  }
}

async function removeLeftovers(parent: string): Promise<void> {
  const names = await readdir(parent).catch(() => []);
  for (const name of names) {
    const path = join(parent, name);
    // Another process may remove it first.
    const info = await stat(path).catch(() => undefined);
    if (info && Date.now() - info.mtimeMs > leftoverMs) {
      await rm(path, { recursive: true, force: true });
    }
  }
}

/**
 * Writes a new file and makes sure that it is on the disk. Returns its size and SHA-256, hex.
 * @throws ModelLoadError when it cannot be written, and whatever `chunks` throws.
 */
export async function saveFile(
  path: string,
  chunks: AsyncIterable<Uint8Array>,
  onChunk: (sizeBytes: number) => void,
): Promise<{ sizeBytes: number; sha256: string }> {
  const hash = createHash("sha256");
  let sizeBytes = 0;
  const handle = await writing(path, () => open(path, "wx"));
  try {
    for await (const chunk of chunks) {
      hash.update(chunk);
      sizeBytes += chunk.length;
      await writing(path, () => handle.appendFile(chunk));
      onChunk(chunk.length);
    }
    await writing(path, () => handle.sync());
  } finally {
    await handle.close();
  }
  return { sizeBytes, sha256: hash.digest("hex") };
}

/**
 * Moves a finished file to its place. Readers see the old file or the new one, never a part; of two
 * processes that do it at once the last one wins.
 */
export async function installFile(tempPath: string, path: string): Promise<void> {
  await writing(path, async () => {
    await mkdir(dirname(path), { recursive: true });
    await rename(tempPath, path);
  });
}

async function writing<T>(path: string, write: () => Promise<T>): Promise<T> {
  try {
    return await write();
  } catch (cause) {
    throw new ModelLoadError(path, `cannot be written (${(cause as Error).message})`, { cause });
  }
}
