import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { cpus, loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { WeightFormat } from "../model/weights/quantize.ts";
import { resolveModel } from "../model/source/source.ts";
import { physicalCores } from "../server/config/physical-cores.ts";
import { benchBuilt } from "./built-experts.ts";
import { mixedPrompts, runLoad } from "./serving-workload.ts";
import type { LoadResult } from "./serving-workload.ts";
import { engineWithExperts, expertName, writeSpeedExpert } from "./speed-expert.ts";
import type { SpeedModel } from "./speed-expert.ts";
import { startSpeedSide, taskHeaders, untilResident } from "./speed-side.ts";
import { measureGaps, whileLoading } from "./token-gaps.ts";
import type { Gaps } from "./token-gaps.ts";

/**
 * `npm run bench:serving [-- --quick] [--only gaps,batches,policies,memory,built]`: what it costs and gives to serve
 * many experts at once. They are not calibrated, as speed does not depend on which heads and channels go, but for
 * `built`, which is not part of a run that does not ask for it: experts as the server builds them, which takes
 * minutes for each of `--tasks` that is not in the cache folder.
 */

const parts = ["gaps", "batches", "policies", "memory"];
const { values } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    only: { type: "string", default: parts.join(",") },
    model: { type: "string", default: "default" },
    sparsity: { type: "string", default: "0.3" },
    weights: { type: "string", default: "q8" },
    threads: { type: "string", default: String(physicalCores()) },
    rounds: { type: "string" },
    cycles: { type: "string" },
    requests: { type: "string" },
    data: { type: "string", default: "../shared/data" },
    tasks: { type: "string", default: "code,math" },
    "max-loss-increase": { type: "string", default: "0.1" },
    "cache-dir": { type: "string" },
  },
});
const { quick } = values;
const wanted = values.only.split(",");
const rounds = Number(values.rounds ?? (quick ? 2 : 3));
const cycles = Number(values.cycles ?? (quick ? 20 : 100));
const numRequests = Number(values.requests ?? (quick ? 32 : 96));
const { path: modelPath } = await resolveModel(values.model);
const model: SpeedModel = {
  modelPath,
  weights: values.weights as WeightFormat,
  threads: Number(values.threads),
};

const dir = mkdtempSync(join(tmpdir(), "seap-bench-"));
process.on("exit", () => rmSync(dir, { recursive: true, force: true }));
const built = await writeSpeedExpert(model, Number(values.sparsity), dir);

const cpu = cpus()[0]?.model.trim() ?? "unknown CPU";
const share = `${(built.sparsity * 100).toFixed(1)} %`;
const size = `${(built.sizeBytes / 2 ** 20).toFixed(0)} MiB`;
console.log(
  `${cpu}, ${values.threads} threads, load ${loadavg()[0]!.toFixed(1)}; ${values.weights} weights, ` +
    `experts without ${share} of the middle, ${size} each\n`,
);
if (wanted.includes("gaps")) await benchGaps();
if (wanted.includes("batches")) await benchBatches();
if (wanted.includes("policies")) await benchPolicies();
if (wanted.includes("memory")) await benchMemory();
if (wanted.includes("built")) {
  const cacheDir = values["cache-dir"];
  const table = await benchBuilt({
    model,
    tasks: values.tasks.split(","),
    flags: {
      "max-loss-increase": values["max-loss-increase"],
      ...(cacheDir !== undefined && { "cache-dir": cacheDir }),
    },
    prompts: mixedPrompts(numRequests * 4, values.data),
    numRequests,
    rounds,
  });
  console.log(table);
}

/** Worst gap between two tokens of eight streams, experts coming and going meanwhile or not. */
async function benchGaps(): Promise<void> {
  const numTokens = quick ? 96 : 192;
  const tasks = Array.from({ length: 4 }, (_, index) => expertName(index));
  const side = await startSpeedSide({ model, built, tasks });
  const streams = Array.from({ length: 8 }, () => "none");
  await measureGaps(side, streams, 16);
  const [quiet, loading]: [Gaps[], Gaps[]] = [[], []];
  let loads = 0;
  for (let round = 0; round < rounds; round++) {
    quiet.push(await measureGaps(side, streams, numTokens));
    const work = measureGaps(side, streams, numTokens);
    loads += await whileLoading(side, tasks, work);
    loading.push(await work);
  }
  await side.close();
  const middle = (gaps: readonly Gaps[], key: keyof Gaps) => {
    const sorted = gaps.map((each) => each[key]).sort((a, b) => a - b);
    return sorted[Math.floor((sorted.length - 1) / 2)]!;
  };
  const row = (name: string, key: keyof Gaps) => {
    const [before, meanwhile] = [middle(quiet, key), middle(loading, key)];
    const more = meanwhile - before;
    return `| ${name} | ${before.toFixed(0)} ms | ${meanwhile.toFixed(0)} ms | ${more.toFixed(0)} ms |`;
  };
  console.log(`| gap between tokens, 8 streams, median of ${rounds} rounds | undisturbed | ${loads} loads and evictions | more |
|---|---|---|---|
${row("worst", "worstMs")}
${row("99th percentile", "p99Ms")}
`);
}

/** Decode speed when the streams are spread over several experts. */
async function benchBatches(): Promise<void> {
  const numExperts = [1, 2, 4, 8];
  const side = await engineWithExperts(model, built, Math.max(...numExperts));
  const tokens = quick ? 12 : 24;
  const rows: string[] = [];
  for (const batch of [8, 16]) {
    const middles = [
      () => "dense",
      ...numExperts.map((count) => (index: number) => expertName(index % count)),
    ];
    const best = middles.map(() => Infinity);
    for (let round = 0; round < rounds; round++) {
      for (const [i, middleOf] of middles.entries()) {
        const seconds = await side.decode({ batch, context: 64, tokens }, middleOf);
        best[i] = Math.min(best[i]!, seconds);
      }
    }
    const speeds = best.map((seconds) => ((batch * tokens) / seconds).toFixed(0));
    rows.push(`| ${batch} streams | ${speeds.join(" | ")} |`);
  }
  await side.close();
  console.log(`| decode, tokens/s | all dense | ${numExperts.map((count) => `${count} expert${count > 1 ? "s" : ""}`).join(" | ")} |
|---|${"---|".repeat(numExperts.length + 1)}
${rows.join("\n")}
`);
}

/** What each policy makes of the same requests. */
async function benchPolicies(): Promise<void> {
  if (!existsSync(values.data)) {
    console.log(`${values.data} is not there: the prompts are the built-in corpora's.\n`);
  }
  const prompts = mixedPrompts(numRequests, values.data);
  const tasks = [...new Set(prompts.map(({ task }) => task))].sort();
  const own = [...tasks, "general"].join(",");
  const policies = [
    { name: "dense", tasks, flags: { experts: "off" }, resident: [] },
    {
      name: "one expert for all",
      tasks: ["all"],
      flags: { "expert-policy": "task", preload: "all" },
      resident: ["all"],
      task: "all",
    },
    { name: "task", tasks, flags: { "expert-policy": "task", preload: own }, resident: tasks },
    {
      name: "load-aware",
      tasks,
      flags: { "expert-policy": "load-aware", preload: own },
      resident: [...tasks, "general"],
    },
  ];
  const numTokens = quick ? 32 : 64;
  const rows: string[] = [];
  for (const { name, flags, resident, task, tasks: known } of policies) {
    const side = await startSpeedSide({ model, built, tasks: known, flags });
    await untilResident(side, resident);
    await runLoad(side, prompts.slice(0, 8), { concurrency: 8, numTokens: 4, task });
    const [light, heavy]: [LoadResult[], LoadResult[]] = [[], []];
    for (let round = 0; round < (quick ? 1 : 2); round++) {
      heavy.push(await runLoad(side, prompts, { concurrency: 16, numTokens, task }));
      light.push(await runLoad(side, prompts.slice(0, 8), { concurrency: 1, numTokens, task }));
    }
    await side.close();
    const [busy, alone] = [heavy, light].map((results) =>
      results.reduce((a, b) => (b.tokensPerSecond > a.tokensPerSecond ? b : a)),
    );
    rows.push(
      `| ${name} | ${busy!.tokensPerSecond.toFixed(0)} | ${busy!.firstTokenSeconds.toFixed(2)} s | ` +
        `${alone!.firstTokenSeconds.toFixed(3)} s | ${alone!.requestSeconds.toFixed(2)} s |`,
    );
    process.stderr.write(`bench: ${rows.at(-1)}\n`);
  }
  console.log(`| ${prompts.length} prompts of ${tasks.length} tasks, ${numTokens} tokens each | 16 at once, tokens/s | to the first token | one at a time, to the first token | to the last |
|---|---|---|---|---|
${rows.join("\n")}
`);
}

/** Memory of the server's process while an expert is loaded, used and evicted again and again. */
async function benchMemory(): Promise<void> {
  const task = expertName(0);
  const flags = { "expert-policy": "task" };
  const side = await startSpeedSide({ model, built, tasks: [task], flags });
  const sizes: number[] = [];
  for (let cycle = 0; cycle < cycles; cycle++) {
    await side.ask("POST", `/v1/experts/${task}/load`);
    await side.stream([100, 200, 300], 2, taskHeaders(task));
    await side.ask("POST", `/v1/experts/${task}/evict`);
    sizes.push(side.residentBytes / 2 ** 20);
  }
  await side.close();
  const marks = [0, 0.1, 0.25, 0.5, 0.75, 1].map((part) => Math.ceil(part * (cycles - 1)));
  const half = Math.floor(cycles / 2);
  const growth = ((sizes.at(-1)! - sizes[half]!) / (cycles - half)) * 1024;
  console.log(`| load, use and evict, cycle | ${marks.map((mark) => mark + 1).join(" | ")} |
|---|${"---|".repeat(marks.length)}
| resident memory of the server, MiB | ${marks.map((mark) => sizes[mark]!.toFixed(0)).join(" | ")} |

Over the second half it grew by ${growth.toFixed(0)} KiB a cycle.
`);
}
