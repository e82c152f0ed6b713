import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { cpus, loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";
import { resolveModel } from "../../model/source/source.ts";
import type { WeightFormat } from "../../model/weights/quantize.ts";
import { generator } from "../../router/k-means.ts";
import { physicalCores } from "../../server/config/physical-cores.ts";
import { readPromptSource } from "../load/prompt-source.ts";
import { runSession } from "../load/run-load.ts";
import { createWorkload } from "../load/workloads.ts";
import type { Session } from "../load/workloads.ts";
import { writeSpeedExpert } from "../speed-expert.ts";
import { startSpeedSide, taskHeaders } from "../speed-side.ts";
import { abort, askBadly, readSlowly } from "./disturbances.ts";
import type { Outcome } from "./disturbances.ts";
import { formatSoak, passes } from "./report.ts";
import { takeSample } from "./take-sample.ts";
import { judge } from "./verdict.ts";
import type { Sample } from "./verdict.ts";

/**
 * `npm run soak [-- --minutes 60]`: a server under mixed load for an hour, experts being built, loaded and evicted, clients that
 * leave, read slowly or send what is no request; then whether anything grew.
 */

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "60" },
    model: { type: "string", default: "default" },
    weights: { type: "string", default: "q8" },
    threads: { type: "string", default: String(physicalCores()) },
    streams: { type: "string", default: "4" },
    data: { type: "string", default: "../shared/data" },
    out: { type: "string", default: "seap-load" },
  },
});
const minutes = Number(values.minutes);
const log = (line: string) => void process.stderr.write(`soak: ${line}\n`);

const sparsity = 0.3;
const rejected = "rejected";
const numSamples = 240;

const { path: modelPath } = await resolveModel(values.model);
const model = {
  modelPath,
  weights: values.weights as WeightFormat,
  threads: Number(values.threads),
};
const source = readPromptSource(values.data);
const sessions = (["mixed", "multi-turn", "shared-system", "long-documents"] as const).map(
  (name) => createWorkload(name, source).sessions,
);
const tasks = Object.keys(source.byTask);

const dir = mkdtempSync(join(tmpdir(), "seap-soak-"));
process.on("exit", () => rmSync(dir, { recursive: true, force: true }));
// Only how large it is: the server has its own built.
const built = await writeSpeedExpert(model, sparsity, dir);
const side = await startSpeedSide({
  model,
  built,
  tasks: [...tasks, rejected],
  building: { model, sparsity, storeDir: dir, rejected },
  flags: {
    // Room for three of them, so that they drive each other out.
    "expert-memory": Math.ceil(3.2 * built.sizeBytes),
    "prefix-cache": "64MiB",
    "context-length": 4096,
    "log-level": "error",
  },
});
const { url } = side;
log(`serving; ${minutes} minutes of load begin`);

const startedAtMs = performance.now();
const endMs = startedAtMs + 60_000 * minutes;
const done: Record<string, number> = {};
const problems: string[] = [];
const samples: Sample[] = [];
await Promise.all([
  ...Array.from({ length: Number(values.streams) }, (_, i) => repeat(i, 0, askWell)),
  repeat(100, 1500, abort),
  repeat(101, 3000, readSlowly),
  repeat(102, 500, askBadly),
  repeat(103, 4000, commandExperts),
  sample(),
]);
await side.close();

const report = {
  machine: `${cpus()[0]?.model.trim()}, ${model.threads} threads, load ${loadavg()[0]!.toFixed(1)}`,
  ...{ minutes, done, problems },
  verdicts: judge(samples),
};
const text = formatSoak(report);
console.log(text);
mkdirSync(values.out, { recursive: true });
writeFileSync(join(values.out, "soak.json"), JSON.stringify({ ...report, samples }, null, 2));
writeFileSync(join(values.out, "soak.md"), text);
process.exitCode = passes(report) ? 0 : 1;

/** Does something again and again until the time is over, with a pause in between that is random. */
async function repeat(
  seed: number,
  pauseMs: number,
  act: (url: string, random: () => number) => Promise<Outcome>,
): Promise<void> {
  const random = generator(seed);
  while (performance.now() < endMs) {
    try {
      const { kind, problem } = await act(url, random);
      done[kind] = (done[kind] ?? 0) + 1;
      if (problem !== null) problems.push(`${kind}: ${problem}`);
    } catch (error) {
      problems.push(`${act.name}: ${(error as Error).message}`);
    }
    await delay(2 * pauseMs * random());
  }
}

/** One session of any workload, which is to be answered as a whole. */
async function askWell(_: string, random: () => number): Promise<Outcome> {
  const pick = <T>(list: readonly T[]): T => list[Math.floor(list.length * random())]!;
  const session: Session = pick(pick(sessions));
  const headers = taskHeaders(pick([...tasks, session.task]));
  const limits = { maxTokens: 64, usesCache: random() < 0.8, headers };
  const records = await runSession(url, session, limits);
  const failed = records.find(({ error }) => error !== null);
  return { kind: "sessions", problem: failed?.error ?? null };
}

/** Loads or evicts an expert, or has one built that is then rejected. */
async function commandExperts(_: string, random: () => number): Promise<Outcome> {
  const task = tasks[Math.floor(tasks.length * random())]!;
  const [command, expert] =
    random() < 0.2 ? ["build", rejected] : [random() < 0.5 ? "load" : "evict", task];
  const headers = { "content-type": "application/json" };
  const response = await fetch(`${url}/v1/experts/${expert}/${command}`, {
    method: "POST",
    headers,
  });
  const answer = await response.text();
  // What is on its way in or out is not loaded, and the answer says so.
  const isExpected = response.ok || response.status === 409;
  return {
    kind: `commands to ${command} experts`,
    problem: isExpected ? null : `${response.status}: ${answer}`,
  };
}

async function sample(): Promise<void> {
  const pauseMs = Math.max(1000, (60_000 * minutes) / numSamples);
  while (performance.now() < endMs) {
    await delay(pauseMs);
    const taken = await takeSample(side, (performance.now() - startedAtMs) / 1000);
    samples.push(taken);
    if (samples.length % 20 === 0) {
      const { residentMiB, files, lagMs } = taken.values;
      log(
        `${(taken.atSeconds / 60).toFixed(1)} minutes: ${residentMiB.toFixed(0)} MiB, ${files} files, ` +
          `lag ${lagMs.toFixed(0)} ms, ${problems.length} problems`,
      );
    }
  }
}
