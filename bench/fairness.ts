import { cpus, loadavg } from "node:os";
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";
import { resolveModel } from "../model/source/source.ts";
import { physicalCores } from "../server/config/physical-cores.ts";
import { HttpSide } from "./http-side.ts";
import type { StreamTimes } from "./http-side.ts";

/**
 * `npm run bench:fairness [-- --gaps 0ms,100ms --only arrivals,long]`: what running streams notice of prompts that
 * arrive, by `--max-gap`, and 15 short streams of one long one.
 */

const { values } = parseArgs({
  options: {
    gaps: { type: "string", default: "0ms,100ms,200ms,10s" },
    only: { type: "string", default: "arrivals,long" },
    model: { type: "string", default: "default" },
    weights: { type: "string", default: "q8" },
    threads: { type: "string", default: String(physicalCores()) },
    prompts: { type: "string", default: "10" },
    length: { type: "string", default: "512" },
    long: { type: "string", default: "7900" },
    tokens: { type: "string", default: "1500" },
  },
});
const wanted = values.only.split(",");
const [numPrompts, numPromptTokens] = [Number(values.prompts), Number(values.length)];
const windowMs = 8000;
const [numLongTokens, numTokens] = [Number(values.long), Number(values.tokens)];
const { path: modelPath } = await resolveModel(values.model);

console.log(
  `${cpus()[0]?.model.trim() ?? "unknown CPU"}, ${values.threads} threads, load ${loadavg()[0]!.toFixed(1)}; ` +
    `${values.weights} weights\n`,
);
if (wanted.includes("arrivals")) await benchArrivals();
if (wanted.includes("long")) await benchLong();

/** Eight streams decode while prompts arrive, each when the one before has its first token. */
async function benchArrivals(): Promise<void> {
  const rows: string[] = [];
  for (const maxGap of values.gaps.split(",")) {
    const side = await start(maxGap);
    await side.stream(prompt(numPromptTokens, 1), 2);
    const streams = await Promise.all(
      Array.from({ length: 8 }, (_, i) => beginStream(side, prompt(32, i), 600)),
    );
    const from = performance.now();
    await delay(3000);
    const quietUntil = performance.now();
    const firstTokens: number[] = [];
    for (let i = 0; i < numPrompts; i++) {
      const { firstTokenSeconds } = await side.stream(prompt(numPromptTokens, 1000 * (i + 1)), 1);
      firstTokens.push(firstTokenSeconds * 1000);
    }
    const to = performance.now();
    const arrivals = (await Promise.all(streams.map(({ times }) => times))).map(
      (each) => each.arrivals,
    );
    await side.close();
    const quiet = gapsOf(arrivals, from, quietUntil);
    const busy = gapsOf(arrivals, quietUntil, to);
    const figures = [quiet, busy].flatMap((gaps) => [0.5, 0.99, 1].map((q) => quantile(gaps, q)));
    rows.push(`| ${maxGap} | ${[...figures, quantile(firstTokens, 0.5)].map(cell).join(" | ")} |`);
    process.stderr.write(`bench: ${rows.at(-1)}\n`);
  }
  console.log(`| 8 streams, prompts of ${numPromptTokens} tokens, ms; max-gap | gap p50, undisturbed | p99 | worst | p50, prompts arrive | p99 | worst | first token p50 |
|---|---|---|---|---|---|---|---|
${rows.join("\n")}
`);
}

/** Fifteen streams that decode, alone, while a long prompt is computed, and while its answer is decoded too. */
async function benchLong(): Promise<void> {
  const side = await start("100ms");
  await side.stream(prompt(64, 1), 2);
  const arrivals = Array.from({ length: 15 }, (): number[] => []);
  const ends = arrivals.map((each, i) =>
    side.stream(prompt(32, i), numTokens, {}, () => each.push(performance.now())),
  );
  while (!arrivals.every(({ length }) => length > 1)) await delay(100);
  const rows: string[] = [];
  const measure = async (name: string) => {
    const from = performance.now();
    await delay(windowMs);
    const gaps = gapsOf(arrivals, from, performance.now());
    const mean = gaps.reduce((sum, gap) => sum + gap, 0) / gaps.length;
    rows.push(
      `| ${name} | ${[mean, quantile(gaps, 0.5), quantile(gaps, 0.99)].map(cell).join(" | ")} |`,
    );
    process.stderr.write(`bench: ${rows.at(-1)}\n`);
  };
  await measure("alone");
  const begun = beginStream(side, prompt(numLongTokens, 7), 200);
  await measure("beside its prefill");
  const { times } = await begun;
  await measure("beside its decoding");
  await Promise.all([times, ...ends]);
  await side.close();
  console.log(`| 15 short streams, one of ${numLongTokens} tokens, ms | mean gap | p50 | p99 |
|---|---|---|---|
${rows.join("\n")}
`);
}

/** A stream that has its first token. */
async function beginStream(
  side: HttpSide,
  tokenIds: readonly number[],
  numTokens: number,
): Promise<{ readonly times: Promise<StreamTimes> }> {
  return new Promise((resolve, reject) => {
    const times = side.stream(tokenIds, numTokens, {}, () => resolve({ times }));
    times.catch(reject);
  });
}

function start(maxGap: string): Promise<HttpSide> {
  const threads = Number(values.threads);
  const weights = values.weights;
  return HttpSide.start({ modelPath, weights, threads, flags: { "max-gap": maxGap } });
}

function prompt(length: number, first: number): number[] {
  return Array.from({ length }, (_, i) => (((first + i) * 7919 + 13) % 40_000) + 100);
}

/** Milliseconds between two tokens of a stream, of those that came in a time. */
function gapsOf(streams: readonly (readonly number[])[], from: number, to: number): number[] {
  return streams.flatMap((arrivals) =>
    arrivals
      .slice(1)
      .flatMap((at, i) => (arrivals[i]! >= from && at <= to ? at - arrivals[i]! : [])),
  );
}

/** @param numbers at least one */
function quantile(numbers: readonly number[], share: number): number {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!;
}

function cell(ms: number): string {
  return ms.toFixed(0);
}
