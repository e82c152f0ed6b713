import { mkdtempSync } from "node:fs";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import test, { type ExecutionContext } from "ava";
import fc from "fast-check";
import { deadly } from "../helpers/fragile.ts";
import { type HostileRequest, hostileRequest } from "../helpers/hostile-requests.ts";
import { type OpenApi, SchemaChecker } from "../helpers/openapi.ts";
import { runSeap } from "../helpers/seap-process.ts";
import { tempDir } from "../helpers/temp-dir.ts";
import { writeTinyGguf } from "../helpers/tiny-gguf.ts";
import { writeTinyRouter } from "../helpers/tiny-router.ts";

/** SEAP_HOSTILE_SEED changes what is sent. */
const seed = Number(process.env["SEAP_HOSTILE_SEED"] ?? 2026);
/** `npm run test:hostile`: nothing else runs, so that times can be judged. */
const isAlone = process.env["SEAP_HOSTILE_ALONE"] !== undefined;

const tasks = ["chat", "code", "math"];
const requestsPerRound = 200;
const numClients = 16;
const maxHealthMs = 300;
/** What allocators and garbage collectors keep is no leak. */
const maxGrowthBytes = 128 * 2 ** 20;

const gauges = ["requests_running", "requests_waiting", "requests_parked", "kv_cache_usage_ratio"];

/** Of one round after the other, each of all requests. */
interface Round {
  readonly maxHealthMs: number;
  readonly residentBytes: number;
}

test("where a third of all requests means harm and the engine is killed once, all others get their answers, and nothing is left behind", async (t) => {
  t.timeout(300_000);
  const url = await serveTiny(t);
  const document = (await (await fetch(`${url}/openapi.json`)).json()) as OpenApi;
  const checker = new SchemaChecker(document);
  const expected = await askTruth(url);
  const hostile = fc.sample(hostileRequest, { numRuns: requestsPerRound, seed });
  const statuses = new Map<string, number>();

  const sendHostile = async ({ kind, path, headers, body }: HostileRequest) => {
    const init = { method: "POST", headers, body: new Uint8Array(body) };
    const response = await fetch(`${url}${path}`, init);
    const text = await response.text();
    const told = `${kind}: ${response.status} ${text.slice(0, 300)}`;
    const key = `${kind} ${response.status}`;
    statuses.set(key, (statuses.get(key) ?? 0) + 1);
    t.true(response.status < 500 || isOfRestart(text), told);
    if (response.status >= 400) t.is(checker.problemOf("Error", JSON.parse(text)), null, told);
  };
  const sendOrdinary = async (index: number) => {
    if (index % 4 === 1) {
      const answer = await ask(url, { ...question, model: `tiny:${tasks[index % 3]}`, n: 2 });
      t.is(answer.status, 200, answer.text);
    } else {
      const answer = await askTruth(url, index % 2 === 0);
      t.is(answer, expected);
    }
  };
  const killEngine = async () => {
    const { status, text } = await askOnce(url, { ...question, stop: [deadly] });
    t.is(status, 503, text);
    t.true(isOfRestart(text), text);
  };

  const rounds: Round[] = [];
  for (let round = 0; round < 2; round++) {
    let next = 0;
    const client = async () => {
      for (let index = next++; index < requestsPerRound; index = next++) {
        if (index % 3 === 0) await sendHostile(hostile[index]!);
        else await sendOrdinary(index);
        if (round === 0 && index === requestsPerRound / 2) await killEngine();
        if (index % 20 === 5) await command(url, tasks[index % 3]!, index % 40 === 5);
      }
    };
    const health = new HealthWatch(url);
    await Promise.all(Array.from({ length: numClients }, client));
    const metrics = await metricsOf(url);
    rounds.push({
      maxHealthMs: await health.stop(),
      residentBytes: metrics("process_resident_memory_bytes"),
    });
    for (const gauge of gauges) t.is(metrics(`seap_${gauge}`), 0, gauge);
    t.is(metrics("seap_engine_restarts_total"), 1);
  }

  t.log(Object.fromEntries([...statuses].sort()));
  t.log(rounds);
  const [first, second] = rounds as [Round, Round];
  t.true(second.residentBytes - first.residentBytes < maxGrowthBytes);
  if (isAlone) for (const round of rounds) t.true(round.maxHealthMs <= maxHealthMs);
});

const question = { messages: [{ role: "user", content: "What is 3 + 4?" }], max_tokens: 24 };

async function serveTiny(t: ExecutionContext): Promise<string> {
  const folder = tempDir(t);
  const modelPath = join(folder, "tiny.gguf");
  writeTinyGguf(modelPath);
  const experts = mkdtempSync(join(folder, "experts-"));
  const router = join(folder, "router.safetensors");
  await writeTinyRouter(router, modelPath, tasks);
  const flags = ["--port", "0", "--threads", "1", "--context-length", "4096", "--router", router];
  const args = [modelPath, experts, tasks.join(","), ...flags];
  const server = runSeap(t, args, {}, "dist/test/helpers/tiny-server.js");
  const url = /http:[^"]+/.exec(await server.untilLine("listening"))![0];
  await server.untilLine("model ready");
  return url;
}

interface Answer {
  readonly status: number;
  readonly text: string;
}

/** Asks again while the engine starts anew. */
async function ask(url: string, body: object): Promise<Answer> {
  for (;;) {
    const answer = await askOnce(url, body);
    if (!isOfRestart(answer.text)) return answer;
    await setTimeout(50);
  }
}

function isOfRestart(text: string): boolean {
  return /"code":"engine_(stopped|restarting)"/.test(text);
}

async function askOnce(url: string, body: object): Promise<Answer> {
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  return { status: response.status, text: await response.text() };
}

/** What dense says at temperature 0, which nothing that happens beside it may change. */
async function askTruth(url: string, stream = false): Promise<string> {
  const { text } = await ask(url, { ...question, model: "tiny:none", temperature: 0, stream });
  if (!stream) return choicesOf(text)[0]?.message?.content ?? text;
  const data = text.split("\n\n").filter((line) => line.startsWith("data: {"));
  const pieces = data.map((line) => choicesOf(line.slice("data: ".length))[0]?.delta?.content);
  return pieces.join("");
}

interface WireChoice {
  readonly message?: { readonly content: string };
  readonly delta?: { readonly content?: string };
}

function choicesOf(text: string): readonly WireChoice[] {
  return (JSON.parse(text) as { choices?: WireChoice[] }).choices ?? [];
}

async function command(url: string, task: string, isLoad: boolean): Promise<void> {
  const response = await fetch(`${url}/v1/experts/${task}/${isLoad ? "load" : "evict"}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
  });
  await response.text();
}

async function metricsOf(url: string): Promise<(sample: string) => number> {
  const lines = (await (await fetch(`${url}/metrics`)).text()).split("\n");
  return (sample) => Number(lines.find((line) => line.startsWith(`${sample} `))?.split(" ")[1]);
}

/** Asks `/health` again and again until it is stopped. */
class HealthWatch {
  readonly #asked: Promise<number>;
  #isStopped = false;

  constructor(url: string) {
    this.#asked = this.#ask(url);
    this.#asked.catch(() => undefined);
  }

  /** @returns the longest time that an answer took, in milliseconds */
  stop(): Promise<number> {
    this.#isStopped = true;
    return this.#asked;
  }

  async #ask(url: string): Promise<number> {
    let longestMs = 0;
    while (!this.#isStopped) {
      const startMs = performance.now();
      const response = await fetch(`${url}/health`);
      await response.text();
      if (response.status !== 200) throw new Error(`/health: ${response.status}`);
      longestMs = Math.max(longestMs, performance.now() - startMs);
      await setTimeout(10);
    }
    return longestMs;
  }
}
