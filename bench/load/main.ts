import { mkdirSync, writeFileSync } from "node:fs";
import { cpus, loadavg } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { defaultCacheDir } from "../../model/files/file-cache.ts";
import { resolveModel } from "../../model/source/source.ts";
import { physicalCores } from "../../server/config/physical-cores.ts";
import { compare } from "./compare.ts";
import { comparedFormats, LlamaPeer } from "./llama-peer.ts";
import type { ComparedFormat } from "./llama-peer.ts";
import { speedMeasures } from "./measures.ts";
import { readPromptSource } from "./prompt-source.ts";
import { formatLoadPage } from "./report-page.ts";
import { formatReport } from "./report-table.ts";
import type { Comparison, WorkloadResult } from "./report.ts";
import { runWorkload } from "./run-workload.ts";
import { seapSide } from "./seap-side.ts";
import { createWorkload, workloadNames } from "./workloads.ts";
import type { WorkloadName } from "./workloads.ts";

/**
 * `npm run bench:load [-- --quick]`: the whole server under load, beside llama.cpp's own on the same weights, threads and
 * requests. Without `--workload`, first what its speed is judged by; then, but with `--quick`, all workloads.
 */

const { values } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    model: { type: "string", default: "default" },
    weights: { type: "string", default: "q8,q4" },
    threads: { type: "string", default: String(physicalCores()) },
    workload: { type: "string" },
    streams: { type: "string", default: "8" },
    rate: { type: "string", default: "1" },
    minutes: { type: "string", default: "1" },
    rounds: { type: "string" },
    data: { type: "string", default: "../shared/data" },
    out: { type: "string", default: "seap-load" },
    "no-llama": { type: "boolean", default: false },
  },
});
const threads = Number(values.threads);
const rounds = Number(values.rounds ?? (values.quick ? 1 : 3));
const log = (line: string) => void process.stderr.write(`bench: ${line}\n`);

const formats = formatsOf(values.weights);
const names = workloadsOf(values.workload, values.quick);

const { path: modelPath, name: model } = await resolveModel(values.model);
const source = readPromptSource(values.data);
if (source.origin !== values.data) {
  log(`${values.data} is not there: the prompts are those of the built-in corpora`);
}
const mixed = createWorkload("mixed", source).sessions;
const llama = values["no-llama"]
  ? null
  : await LlamaPeer.open({
      ...{ modelPath, threads, log },
      cacheDir: defaultCacheDir(process.env),
      sessions: createWorkload("one-task", source).sessions,
    });
const loadBefore = loadavg()[0]!;
const startedAtMs = performance.now();

const comparisons: Comparison[] = [];
const workloads: WorkloadResult[] = [];
for (const [index, format] of formats.entries()) {
  const pair = {
    seap: seapSide(format, { modelPath, threads }),
    llama: (await llama?.like(format)) ?? null,
  };
  if (values.workload === undefined) {
    const measures = speedMeasures(
      source,
      values.quick
        ? { perStream: 1.5, maxTokens: 48, alone: 3, arrivalSeconds: 10 }
        : { perStream: 4, maxTokens: 128, alone: 5, arrivalSeconds: 30 },
    );
    log(`seap ${pair.seap.setting} beside ${pair.llama?.setting ?? "nothing"}`);
    comparisons.push(
      await compare(pair, {
        // What quick runs tell of other weights.
        measures: measures.filter(({ isMain }) => isMain || index === 0 || !values.quick),
        warmUp: mixed.slice(0, 8),
        ...{ rounds, log },
      }),
    );
  }
  // They tell apart servers, not weights.
  if (index > 0) continue;
  for (const name of names) {
    workloads.push(
      ...(await runWorkload(pair, createWorkload(name, source), {
        streams: Number(values.streams),
        rate: Number(values.rate),
        minutes: Number(values.minutes),
        ...{ rounds, log },
      })),
    );
  }
}

const report = {
  machine: {
    cpu: cpus()[0]?.model.trim() ?? "unknown CPU",
    threads,
    load: [loadBefore, loadavg()[0]!] as const,
  },
  model,
  prompts: source.origin,
  llama: llama?.report ?? { problem: "--no-llama was given" },
  ...{ comparisons, workloads },
  seconds: (performance.now() - startedAtMs) / 1000,
};
const table = formatReport(report);
console.log(table);
mkdirSync(values.out, { recursive: true });
writeFileSync(join(values.out, "load.json"), JSON.stringify(report, null, 2));
writeFileSync(join(values.out, "load.md"), table);
writeFileSync(join(values.out, "load.html"), formatLoadPage(report));
log(`written to ${values.out}: load.json, load.md, load.html`);

function workloadsOf(list: string | undefined, isQuick: boolean): WorkloadName[] {
  if (list === undefined) return isQuick ? [] : [...workloadNames];
  return list.split(",").map((name) => {
    const known = workloadNames.find((each) => each === name);
    if (known) return known;
    throw new Error(`--workload: expected some of ${workloadNames.join(", ")}, got ${name}`);
  });
}

function formatsOf(list: string): ComparedFormat[] {
  return list.split(",").map((name) => {
    const known = comparedFormats.find((each) => each === name);
    if (known) return known;
    throw new Error(`--weights: expected some of ${comparedFormats.join(", ")}, got ${name}`);
  });
}
