import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { findDebianPrograms } from "./debian-programs.ts";

export interface PrometheusTools {
  readonly prometheus: string;
  readonly promtool: string;
}

/** @returns why there is none, where it cannot be had */
export async function findPrometheus(): Promise<PrometheusTools | string> {
  const found = await findDebianPrograms(["prometheus", "promtool"], ["prometheus"]);
  if (typeof found === "string") return found;
  const { prometheus, promtool } = found.paths;
  return { prometheus: prometheus!, promtool: promtool! };
}

/** What a check prints, and whether it is content. */
export async function promtool(
  { promtool: path }: PrometheusTools,
  args: readonly string[],
  input = "",
): Promise<{ readonly ok: boolean; readonly output: string }> {
  const child = spawn(path, args, { stdio: ["pipe", "pipe", "pipe"] });
  const chunks: Buffer[] = [];
  child.stdout.on("data", (chunk: Buffer) => chunks.push(chunk));
  child.stderr.on("data", (chunk: Buffer) => chunks.push(chunk));
  child.stdin.end(input);
  const [code] = (await once(child, "close")) as [number | null];
  return { ok: code === 0, output: Buffer.concat(chunks).toString() };
}

export interface Sample {
  readonly metric: Readonly<Record<string, string>>;
  readonly value: number;
}

/** A running Prometheus. */
export class Prometheus {
  readonly #child: ChildProcess;
  readonly #url: string;

  private constructor(child: ChildProcess, url: string) {
    this.#child = child;
    this.#url = url;
  }

  /** On a free port; ready when this settles. @throws with its log when it ends before. */
  static async start(tools: PrometheusTools, config: string, dataDir: string): Promise<Prometheus> {
    const child = spawn(
      tools.prometheus,
      [
        `--config.file=${config}`,
        `--storage.tsdb.path=${dataDir}`,
        "--web.listen-address=127.0.0.1:0",
      ],
      { stdio: ["ignore", "ignore", "pipe"] },
    );
    let url: string | undefined;
    let isReady = false;
    const lines: string[] = [];
    for await (const line of createInterface(child.stderr)) {
      lines.push(line);
      const address = /msg="Listening on" address=(\S+)/.exec(line)?.[1];
      if (address !== undefined) url = `http://${address}`;
      isReady ||= line.includes("Server is ready to receive web requests");
      if (isReady && url !== undefined) break;
    }
    if (url === undefined || !isReady) throw new Error(lines.join("\n"));
    child.stderr.resume();
    return new Prometheus(child, url);
  }

  /** At this moment. @throws with Prometheus's message where the expression is wrong. */
  async query(expression: string): Promise<Sample[]> {
    interface Result {
      readonly resultType: "vector" | "scalar";
      readonly result: unknown;
    }
    const { resultType, result } = await this.get<Result>("query", { query: expression });
    if (resultType === "scalar") {
      return [{ metric: {}, value: Number((result as readonly [number, string])[1]) }];
    }
    const samples = result as readonly { metric: Sample["metric"]; value: [number, string] }[];
    return samples.map(({ metric, value }) => ({ metric, value: Number(value[1]) }));
  }

  /** @param path below `/api/v1/` */
  async get<Data>(path: string, parameters: Readonly<Record<string, string>> = {}): Promise<Data> {
    const query = new URLSearchParams(parameters).toString();
    const response = await fetch(`${this.#url}/api/v1/${path}?${query}`);
    const body = (await response.json()) as { status: string; error?: string; data: Data };
    if (body.status !== "success") throw new Error(body.error);
    return body.data;
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null) return;
    const closed = once(this.#child, "exit");
    this.#child.kill("SIGTERM");
    await closed;
  }
}
