import { cpus, loadavg } from "node:os";
import { parseArgs } from "node:util";
import { resolveModel } from "../model/source/source.ts";
import type { WeightFormat } from "../model/weights/quantize.ts";
import { physicalCores } from "../server/config/physical-cores.ts";
import { EngineSide } from "./engine-side.ts";
import { defaultModelSide } from "./expert-sides.ts";

/**
 * `npm run bench:speculation [-- --model name] [--sparsity 0.5]`: what a pass of several tokens of one sequence takes beside
 * that of one, and from what share of right guesses on guesses pay: those of a text, which cost nothing, and those of an
 * expert, which runs for each. All run in turn and the best of all rounds counts.
 */

const { values } = parseArgs({
  options: {
    model: { type: "string", default: "default" },
    weights: { type: "string", default: "q8" },
    threads: { type: "string", default: String(physicalCores()) },
    sparsity: { type: "string", default: "0.5" },
    rounds: { type: "string", default: "5" },
  },
});
const format = values.weights as WeightFormat;
const threads = Number(values.threads);
const run = { context: 100, tokens: 16 };
const lengths = [0, 1, 2, 4, 8];

const { path } = await resolveModel(values.model);
const engine = await EngineSide.start({ modelPath: path, weights: format, threads });
const expert = await defaultModelSide(values.model, Number(values.sparsity), {
  format,
  numThreads: threads,
});
const best = lengths.map(() => Infinity);
let bestExpert = Infinity;
for (let round = 0; round < Number(values.rounds); round++) {
  for (const [i, length] of lengths.entries()) {
    best[i] = Math.min(best[i]!, (await engine.guess(length, run)) / run.tokens);
  }
  bestExpert = Math.min(bestExpert, (await expert.decode({ ...run, batch: 1 })) / run.tokens);
}
const [single] = best;
const draft = bestExpert / single!;
const cpu = cpus()[0]?.model.trim() ?? "unknown CPU";
const percent = (share: number) => `${(100 * share).toFixed(0)} %`;
console.log(`${values.model}, ${format}, ${cpu}, ${threads} threads, load ${loadavg()[0]!.toFixed(1)}: a step of one token ${(
  single! * 1000
).toFixed(
  1,
)} ms, of the model with ${percent(expert.sparsity)} of its middle removed ${(bestExpert * 1000).toFixed(1)} ms

| guessed | a pass takes | pays where so many guesses are right | guesses of the expert |
|---|---|---|---|
${lengths
  .slice(1)
  .map((length, i) => {
    const cost = best[i + 1]! / single!;
    return `| ${length} | × ${cost.toFixed(2)} | ${shown(leastShare(length, cost))} | ${shown(
      leastShare(length, cost + length * draft),
    )} |`;
  })
  .join("\n")}
`);
await engine.close();
await expert.close();

/** @returns the share of right guesses with which a pass gives as many tokens a second as one of one token; null for none */
function leastShare(length: number, cost: number): number | null {
  const tokens = (share: number) =>
    Array.from({ length: length + 1 }, (_, i) => share ** i).reduce((sum, one) => sum + one);
  if (tokens(1) < cost) return null;
  let [low, high] = [0, 1];
  for (let i = 0; i < 30; i++) {
    const middle = (low + high) / 2;
    if (tokens(middle) < cost) low = middle;
    else high = middle;
  }
  return high;
}

function shown(share: number | null): string {
  return share === null ? "never" : percent(share);
}
