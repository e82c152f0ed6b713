import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface, type Interface } from "node:readline";
import { fileURLToPath } from "node:url";
import { processMemory } from "./process-memory.ts";

/** Seen from `dist/bench/`, where the compiled file lies. */
const packageFolder = fileURLToPath(new URL("../../bench/llama/", import.meta.url));

/** The packages with node-llama-cpp's CPU builds, by Node's platform and architecture. */
const cpuBuilds: Readonly<Record<string, string>> = {
  "linux-x64": "linux-x64",
  "linux-arm64": "linux-arm64",
  "darwin-x64": "mac-x64",
  "darwin-arm64": "mac-arm64-metal",
  "win32-x64": "win-x64",
  "win32-arm64": "win-arm64",
};

export interface LlamaPeerOptions {
  /** A GGUF file. */
  readonly modelPath: string;
  readonly threads: number;
  /** Tokens that each sequence can hold. */
  readonly contextSize: number;
  /** The largest batch. */
  readonly sequences: number;
}

export interface DecodeRun {
  readonly batch: number;
  /** Tokens each sequence holds before the first step. */
  readonly context: number;
  /** Steps, so new tokens of each sequence. */
  readonly tokens: number;
}

/**
 * llama.cpp in a process of its own, so that its threads and memory stay apart from ours.
 * It takes no processor time between calls. One call at a time.
 */
export class LlamaPeer {
  readonly #child: ChildProcess;
  readonly #replies: AsyncIterator<string>;

  /**
   * Installs node-llama-cpp on first use and loads the model.
   *
   * @returns null, after a line on stderr that says why, where llama.cpp cannot run.
   */
  static async start(options: LlamaPeerOptions): Promise<LlamaPeer | null> {
    const problem = await ensureInstalled();
    if (problem !== undefined) {
      progress(`no comparison with llama.cpp: ${problem}`);
      return null;
    }
    const peer = new LlamaPeer();
    try {
      const { modelPath: model, ...context } = options;
      await peer.#call("load", { model, ...context });
      return peer;
    } catch (error) {
      progress(`no comparison with llama.cpp: ${String(error)}`);
      await peer.close();
      return null;
    }
  }

  private constructor() {
    this.#child = spawn(process.execPath, [join(packageFolder, "run.mjs")], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    this.#child.stdin!.on("error", () => {}); // the missing reply is reported
    const lines: Interface = createInterface({ input: this.#child.stdout! });
    this.#replies = lines[Symbol.asyncIterator]();
  }

  /** @returns seconds from an empty KV cache to the logits of the last of `tokens` tokens. */
  async prefill(tokens: number): Promise<number> {
    return this.#seconds("prefill", { tokens });
  }

  /** @returns seconds of all steps together, without the prefill; greedy, an end token is one like others. */
  async decode(run: DecodeRun): Promise<number> {
    return this.#seconds("decode", { ...run });
  }

  /** Of its process, with the pages of the file that it has mapped. */
  get memory(): { residentBytes: number; peakBytes: number } {
    return processMemory(this.#child.pid!);
  }

  /** Ends the process; may be called twice. */
  async close(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exited = once(this.#child, "exit");
    this.#child.stdin!.end();
    await exited;
  }

  async #seconds(cmd: string, parameters: Record<string, unknown>): Promise<number> {
    const { seconds } = await this.#call(cmd, parameters);
    if (typeof seconds !== "number") throw new Error(`llama.cpp: expected seconds after ${cmd}`);
    return seconds;
  }

  async #call(cmd: string, parameters: Record<string, unknown>): Promise<Record<string, unknown>> {
    this.#child.stdin!.write(`${JSON.stringify({ cmd, ...parameters })}\n`);
    const line = await this.#replies.next();
    if (line.done === true) throw new Error(`llama.cpp ended before it answered ${cmd}`);
    const reply = JSON.parse(line.value) as Record<string, unknown>;
    if (typeof reply.error === "string") throw new Error(`llama.cpp: ${reply.error}`);
    return reply;
  }
}

/** @returns why node-llama-cpp is not there, or undefined. */
async function ensureInstalled(): Promise<string | undefined> {
  const version = readPackage(packageFolder)?.dependencies?.["node-llama-cpp"];
  if (version === undefined) return `${packageFolder} is not there; it comes with the repository`;
  const build = cpuBuilds[`${process.platform}-${process.arch}`];
  if (build === undefined) {
    return `node-llama-cpp has no prebuilt version for ${process.platform} on ${process.arch}`;
  }
  const names = ["node-llama-cpp", `@node-llama-cpp/${build}`];
  const present = () =>
    names.every((name) => {
      return readPackage(join(packageFolder, "node_modules", name))?.version === version;
    });
  if (present()) return undefined;

  progress(`installing node-llama-cpp ${version} for the comparison (85 MB, once) …`);
  // The builds are optional packages, the CUDA ones of several hundred MB: only the CPU build is named.
  const args = ["install", ...names.map((name) => `${name}@${version}`)];
  const flags = ["--no-save", "--omit=optional", "--ignore-scripts", "--no-audit", "--no-fund"];
  const npm = spawn("npm", [...args, ...flags, "--loglevel=error"], {
    cwd: packageFolder,
    shell: process.platform === "win32",
    stdio: ["ignore", 2, 2],
    env: { ...process.env, NODE_LLAMA_CPP_SKIP_DOWNLOAD: "true" },
  });
  const code = await once(npm, "close").then(
    ([exitCode]) => exitCode as number | null,
    (error: Error) => error.message,
  );
  return present() ? undefined : `npm install in ${packageFolder} failed (${code})`;
}

interface PackageFile {
  readonly version?: string;
  readonly dependencies?: Readonly<Record<string, string>>;
}

function readPackage(folder: string): PackageFile | undefined {
  const path = join(folder, "package.json");
  return existsSync(path) ? (JSON.parse(readFileSync(path, "utf8")) as PackageFile) : undefined;
}

function progress(message: string): void {
  console.error(`bench: ${message}`);
}
