import { createHash } from "node:crypto";
import { statSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { z } from "zod";

const recordSchema = z.object({ files: z.array(z.string()), hash: z.string() });

/**
 * What files were hashed to, from a folder that remembers it as long as nobody writes to them: by their size, times and
 * inodes. Without a folder, or one that cannot be written, they are hashed each time.
 */
export async function rememberedHash(
  folder: string | undefined,
  paths: readonly string[],
  compute: () => Promise<string>,
): Promise<string> {
  if (folder === undefined) return compute();
  const name = createHash("sha256").update(paths.map((path) => resolve(path)).join("\n"));
  const record = join(folder, `${name.digest("hex").slice(0, 32)}.json`);
  const files = paths.map(identityOf);
  const known = await readRecord(record);
  if (known !== null && String(known.files) === String(files)) return known.hash;
  const hash = await compute();
  await mkdir(folder, { recursive: true })
    .then(() => writeFile(record, JSON.stringify({ files, hash })))
    .catch(() => undefined);
  return hash;
}

function identityOf(path: string): string {
  const { size, mtimeMs, ctimeMs, ino } = statSync(path);
  return `${size} ${mtimeMs} ${ctimeMs} ${ino}`;
}

async function readRecord(path: string): Promise<z.infer<typeof recordSchema> | null> {
  try {
    return recordSchema.parse(JSON.parse(await readFile(path, "utf8")));
  } catch {
    return null;
  }
}
