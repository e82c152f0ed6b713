import { spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import { freePort } from "../free-port.ts";
import { processMemory } from "../process-memory.ts";
import { contextTokens, maxStreams } from "./side.ts";
import type { RunningServer, Side } from "./side.ts";

export interface LlamaSetting {
  /** How its weights are stored, as llama.cpp calls it, or `file` as they came. */
  readonly format: string;
  readonly modelPath: string;
  readonly flashAttention: boolean;
}

const pollMs = 100;

/** llama.cpp's own server with continuous batching, which it does by default. */
export function llamaSide(program: string, setting: LlamaSetting, threads: number): Side {
  return {
    name: "llama.cpp",
    setting: describeSetting(setting),
    start: async (usesCache) => {
      const port = await freePort();
      const flags = [
        ...["-m", setting.modelPath, "--host", "127.0.0.1", "--port", String(port)],
        ...["-t", String(threads), "--parallel", String(maxStreams)],
        ...["-c", String(contextTokens * maxStreams)],
        ...["-fa", setting.flashAttention ? "on" : "off"],
        ...["--no-webui", "--log-disable"],
        // With one, it has caches of its own size.
        ...(usesCache ? [] : ["--no-cache-prompt", "--cache-ram", "0"]),
      ];
      return startServer(program, flags, `http://127.0.0.1:${port}`);
    },
  };
}

export function describeSetting({ format, flashAttention }: LlamaSetting): string {
  return `${format}, -fa ${flashAttention ? "on" : "off"}`;
}

async function startServer(
  program: string,
  flags: readonly string[],
  url: string,
): Promise<RunningServer> {
  const child = spawn(program, flags, { stdio: ["ignore", "ignore", "inherit"] });
  // Rejects where the program cannot be run.
  await once(child, "spawn");
  const hasEnded = () => child.exitCode !== null || child.signalCode !== null;
  for (;;) {
    if (hasEnded()) throw new Error("llama.cpp's server ended while it was loading");
    const response = await fetch(`${url}/health`).catch(() => null);
    if (response?.ok) break;
    await delay(pollMs);
  }
  return {
    url,
    get residentBytes() {
      return processMemory(child.pid!).residentBytes;
    },
    async close() {
      if (hasEnded()) return;
      const exited = once(child, "exit");
      child.kill("SIGTERM");
      await exited;
    },
  };
}
