import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { freePort } from "./free-port.ts";
import { processMemory } from "./process-memory.ts";

const cliPath = fileURLToPath(new URL("../../bin/seap.js", import.meta.url));

export interface HttpSideOptions {
  readonly modelPath: string;
  readonly weights: string;
  readonly threads: number;
  /** @default `seap serve` */
  readonly program?: readonly string[];
  /** More of the program's flags. */
  readonly flags?: Readonly<Record<string, string | number>>;
}

export interface StreamTimes {
  /** Request sent to the first token received. */
  readonly firstTokenSeconds: number;
  /** Arrival of each token after the first, on the process's clock. */
  readonly arrivals: readonly number[];
}

/** The whole server in a process of its own, asked as a client would. */
export class HttpSide {
  readonly #child: ChildProcess;
  readonly url: string;

  private constructor(child: ChildProcess, url: string) {
    this.#child = child;
    this.url = url;
  }

  static async start(options: HttpSideOptions): Promise<HttpSide> {
    const port = await freePort();
    const { program = [cliPath, "serve"] } = options;
    const flags = {
      model: options.modelPath,
      weights: options.weights,
      threads: options.threads,
      port,
      // They would be fitted and built while we measure.
      router: "off",
      experts: "off",
      // Rounds repeat their prompts.
      "prefix-cache": 0,
      "log-level": "warn",
      ...options.flags,
    };
    const args = Object.entries(flags).flatMap(([name, value]) => [`--${name}`, String(value)]);
    const child = spawn(process.execPath, [...program, ...args], {
      stdio: ["ignore", "inherit", "inherit"],
      env: { ...process.env, MALLOC_TRIM_THRESHOLD_: "131072" },
    });
    const side = new HttpSide(child, `http://127.0.0.1:${port}`);
    await side.#untilReady();
    return side;
  }

  get pid(): number {
    return this.#child.pid!;
  }

  /** Resident memory of the server's process. */
  get residentBytes(): number {
    return processMemory(this.pid).residentBytes;
  }

  /** The most that it ever was. */
  get peakBytes(): number {
    return processMemory(this.pid).peakBytes;
  }

  /** What a request without a body is answered with. */
  async ask(method: "GET" | "POST", path: string): Promise<unknown> {
    const headers = { "content-type": "application/json" };
    const response = await fetch(`${this.url}${path}`, { method, headers });
    if (!response.ok) throw new Error(await response.text());
    return response.json();
  }

  /**
   * Streams `numTokens` tokens after a prompt of text or token ids.
   * @param onToken called when some have come
   */
  async stream(
    prompt: string | readonly number[],
    numTokens: number,
    headers: Readonly<Record<string, string>> = {},
    onToken: () => void = () => undefined,
  ): Promise<StreamTimes> {
    const startedAt = performance.now();
    const response = await fetch(`${this.url}/v1/completions`, {
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
      body: JSON.stringify({
        prompt,
        max_tokens: numTokens,
        temperature: 0,
        ignore_eos: true,
        stream: true,
      }),
    });
    if (!response.ok || !response.body) throw new Error(await response.text());
    const arrivals: number[] = [];
    for await (const bytes of response.body) {
      const now = performance.now();
      // A read may hold several events; token text never contains a line that starts so.
      const events =
        Buffer.from(bytes as Uint8Array)
          .toString("latin1")
          .split("data: {").length - 1;
      for (let i = 0; i < events; i++) arrivals.push(now);
      if (events > 0) onToken();
    }
    return { firstTokenSeconds: (arrivals[0]! - startedAt) / 1000, arrivals };
  }

  async close(): Promise<void> {
    if (this.#child.exitCode !== null) return;
    const exited = once(this.#child, "exit");
    this.#child.kill("SIGTERM");
    await exited;
  }

  async #untilReady(): Promise<void> {
    for (;;) {
      if (this.#child.exitCode !== null) throw new Error("the server ended while it was loading");
      const response = await fetch(`${this.url}/ready`).catch(() => null);
      if (response?.ok) return;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}
