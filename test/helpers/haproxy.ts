import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { request } from "node:http";
import type { IncomingMessage } from "node:http";
import { text } from "node:stream/consumers";
import { setTimeout as delay } from "node:timers/promises";
import { type DebianPrograms, findDebianPrograms } from "./debian-programs.ts";

/** Without a rest, asking would take the processor from what is waited for. */
const pollMs = 100;

/** @returns why there is none, where it cannot be had */
export function findHaproxy(): Promise<DebianPrograms | string> {
  return findDebianPrograms(
    ["haproxy"],
    ["haproxy", "liblua5.3-0", "libopentracing-c-wrapper0", "libopentracing1", "libpcre2-8-0"],
  );
}

export interface ProxyOptions {
  /** Path of a Unix socket, which can collide with nothing. */
  readonly socket: string;
  /** Host and port of each. */
  readonly replicas: readonly [one: string, two: string];
}

/** A running HAProxy with the project's configuration. */
export class Haproxy {
  readonly #child: ChildProcess;
  readonly #socket: string;
  readonly #ended: Promise<unknown>;
  #stderr = "";

  constructor({ paths, env }: DebianPrograms, { socket, replicas }: ProxyOptions) {
    const [one, two] = replicas;
    this.#socket = socket;
    this.#child = spawn(paths["haproxy"]!, ["-f", "deploy/haproxy.cfg"], {
      env: { ...env, SEAP_LISTEN: socket, SEAP_REPLICA_1: one, SEAP_REPLICA_2: two },
      stdio: ["ignore", "ignore", "pipe"],
    });
    this.#child.stderr!.setEncoding("utf8").on("data", (part: string) => (this.#stderr += part));
    this.#ended = once(this.#child, "close");
  }

  /** Settles when the answer begins. @throws when none does */
  async send(
    method: string,
    path: string,
    options: { readonly headers?: Record<string, string>; readonly body?: object } = {},
  ): Promise<IncomingMessage> {
    const { headers = {}, body } = options;
    if (this.#child.exitCode !== null) throw new Error(`HAProxy has ended: ${this.#stderr}`);
    const sent = request({
      ...{ socketPath: this.#socket, method, path, agent: false },
      headers: { "content-type": "application/json", host: "localhost", ...headers },
    });
    sent.end(body && JSON.stringify(body));
    const [response] = (await once(sent, "response")) as [IncomingMessage];
    return response;
  }

  /** Settles when it has found out that a replica takes no requests. */
  async untilDown(replica: "one" | "two"): Promise<void> {
    const line = `Server replicas/${replica} is DOWN`;
    while (!this.#stderr.includes(line)) await once(this.#child.stderr!, "data");
  }

  /** Asks again and again until both replicas get requests. */
  async untilBoth(): Promise<void> {
    const seen = new Set<unknown>();
    while (seen.size < 2) {
      try {
        const response = await this.send("GET", "/ready");
        await text(response);
        if (response.statusCode === 200) seen.add(response.headers["x-seap-replica"]);
      } catch (error) {
        // Not listening yet.
        const { code } = error as NodeJS.ErrnoException;
        if (code !== "ENOENT" && code !== "ECONNREFUSED") throw error;
      }
      await delay(pollMs);
    }
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode === null) this.#child.kill("SIGTERM");
    await this.#ended;
  }
}
