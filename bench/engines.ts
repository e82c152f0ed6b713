import { cpus, loadavg } from "node:os";
import { basename } from "node:path";
import { parseArgs } from "node:util";
import { resolveModel } from "../model/source/source.ts";
import { physicalCores } from "../server/config/physical-cores.ts";
import { HttpSide } from "./http-side.ts";

/**
 * `npm run bench:engines [-- --sides 1x1,1x2,2x1] [--streams 1,8,16]`: engines × threads of each, compared through HTTP
 * with different numbers of streams. All run in turn and the best of all rounds counts, so that a busy moment of the
 * machine hits none alone.
 */

const cores = physicalCores();
const { values } = parseArgs({
  options: {
    model: { type: "string", default: "default" },
    weights: { type: "string", default: "q8" },
    sides: { type: "string", default: `1x${cores},2x${Math.max(1, Math.floor(cores / 2))}` },
    streams: { type: "string", default: "1,8,16" },
    tokens: { type: "string", default: "64" },
    rounds: { type: "string", default: "3" },
  },
});
const { weights } = values;
const [numTokens, rounds] = [Number(values.tokens), Number(values.rounds)];
const streamCounts = values.streams.split(",").map(Number);
const settings = values.sides.split(",").map((side) => {
  const [engines = 1, threads = 1] = side.split("x").map(Number);
  return { engines, threads };
});
const promptTokens = 128;

/** Of all streams together. */
interface Speed {
  /** From the first request to the last token, the prompts' prefill included. */
  readonly tokensPerSecond: number;
  /** While all streams decode. */
  readonly decodePerSecond: number;
  /** Mean of the streams. */
  readonly firstTokenSeconds: number;
}

const { path: modelPath } = await resolveModel(values.model);
const sides: HttpSide[] = [];
for (const { engines, threads } of settings) {
  const options = { modelPath, weights, threads: engines * threads, flags: { engines } };
  sides.push(await HttpSide.start(options));
}
const memory = sides.map((side) => `${(side.residentBytes / 2 ** 20).toFixed(0)} MiB`);
for (const side of sides) await measure(side, 4, rounds);

const best = streamCounts.map(() => sides.map((): Speed | null => null));
for (let round = 0; round < rounds; round++) {
  for (const [row, streams] of streamCounts.entries()) {
    for (const [column, side] of sides.entries()) {
      const speed = await measure(side, streams, round);
      best[row]![column] = better(best[row]![column]!, speed);
    }
  }
  process.stderr.write(`bench: round ${round + 1} of ${rounds}\n`);
}
for (const side of sides) await side.close();

const names = settings.map(
  ({ engines, threads }) => `${engines} × ${threads} thread${threads === 1 ? "" : "s"}`,
);
const shown: readonly (readonly [name: string, valueOf: (speed: Speed) => string])[] = [
  ["tokens/s with prefill", ({ tokensPerSecond }) => tokensPerSecond.toFixed(1)],
  ["tokens/s in decoding", ({ decodePerSecond }) => decodePerSecond.toFixed(1)],
  ["first token, mean", ({ firstTokenSeconds }) => `${firstTokenSeconds.toFixed(2)} s`],
];
const rows = streamCounts.flatMap((streams, row) =>
  shown.map(([name, valueOf]) => {
    const cells = best[row]!.map((speed) => valueOf(speed!));
    return `| ${streams} | ${name} | ${cells.join(" | ")} |`;
  }),
);
const cpu = cpus()[0]?.model.trim() ?? "unknown CPU";
console.log(`${cpu}, load ${loadavg()[0]!.toFixed(1)}; ${basename(modelPath)}, ${weights}, prompts of ${promptTokens} tokens

| streams | | ${names.join(" | ")} |
|---|---|${names.map(() => "---|").join("")}
${rows.join("\n")}
| | memory when ready | ${memory.join(" | ")} |
`);

/** So many streams at once, each of another prompt in each round. */
async function measure(side: HttpSide, streams: number, round: number): Promise<Speed> {
  const startedAt = performance.now();
  const times = await Promise.all(
    Array.from({ length: streams }, (_, i) => side.stream(promptOf(100 * round + i), numTokens)),
  );
  const arrivals = times.map((one) => one.arrivals);
  const endedAt = Math.max(...arrivals.map((each) => each.at(-1)!));
  const from = Math.max(...arrivals.map((each) => each[1]!));
  const to = Math.min(...arrivals.map((each) => each.at(-2)!));
  const decoded = arrivals.flat().filter((at) => at > from && at <= to).length;
  return {
    tokensPerSecond: (1000 * streams * numTokens) / (endedAt - startedAt),
    decodePerSecond: (1000 * decoded) / (to - from),
    firstTokenSeconds: times.reduce((sum, one) => sum + one.firstTokenSeconds, 0) / streams,
  };
}

function better(best: Speed | null, speed: Speed): Speed {
  if (best === null) return speed;
  return {
    tokensPerSecond: Math.max(best.tokensPerSecond, speed.tokensPerSecond),
    decodePerSecond: Math.max(best.decodePerSecond, speed.decodePerSecond),
    firstTokenSeconds: Math.min(best.firstTokenSeconds, speed.firstTokenSeconds),
  };
}

/** Ids of a vocabulary of some ten thousand tokens. */
function promptOf(first: number): number[] {
  return Array.from({ length: promptTokens }, (_, i) => (((first + i) * 7919 + 13) % 40_000) + 100);
}
