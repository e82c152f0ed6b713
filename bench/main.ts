import { writeFileSync } from "node:fs";
import { cpus, loadavg } from "node:os";
import { basename } from "node:path";
import { parseArgs } from "node:util";

import { openModel } from "../model/weights/open-model.ts";
import type { WeightFormat } from "../model/weights/quantize.ts";
import { resolveModel } from "../model/source/source.ts";
import { physicalCores } from "../server/config/physical-cores.ts";
import { EngineSide } from "./engine-side.ts";
import { HttpSide } from "./http-side.ts";
import { LlamaPeer } from "./llama-peer.ts";
import type { DecodeRun } from "./llama-peer.ts";
import { RoutingSide } from "./routing-side.ts";
import { formatTable } from "./table.ts";
import type { SpeedMeasurement, RoutingMeasurement } from "./table.ts";

/**
 * `npm run bench [-- --quick] [--weights q4] [--json file]`: speed of the bare engine and of the whole
 * server, beside llama.cpp on the same file and threads. Both sides run in turn and the best of all
 * rounds counts, so that a busy moment of the machine hits neither side alone.
 */

const { values } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    model: { type: "string", default: "default" },
    weights: { type: "string", default: "q4" },
    threads: { type: "string", default: String(physicalCores()) },
    rounds: { type: "string" },
    json: { type: "string" },
    "no-llama": { type: "boolean", default: false },
  },
});
const weights = values.weights as WeightFormat;
const threads = Number(values.threads);
const rounds = Number(values.rounds ?? (values.quick ? 2 : 5));
const maxContext = 2048;

const prefills = values.quick ? [128, 512] : [16, 128, 512, 1536];
const decodes: DecodeRun[] = (
  values.quick
    ? [
        [64, 1],
        [64, 8],
      ]
    : crossProduct([64, 1024], [1, 4, 8, 16])
).map(([context, batch]) => ({ context: context!, batch: batch!, tokens: values.quick ? 16 : 24 }));

const { path: modelPath } = await resolveModel(values.model);
const seap = await EngineSide.start({ modelPath, weights, threads });
const llama = values["no-llama"]
  ? null
  : await LlamaPeer.start({ modelPath, threads, contextSize: maxContext, sequences: 16 });

const measurements: SpeedMeasurement[] = [];
for (const numTokens of prefills) {
  measurements.push(
    await compare(`prefill ${numTokens} tokens`, numTokens, (side) => side.prefill(numTokens)),
  );
}
const { weights: model } = await openModel(modelPath);
model.close();
const routingSide = new RoutingSide(model.config.hiddenSize);
const routing: RoutingMeasurement[] = [];
for (const [index, numTokens] of prefills.entries()) {
  // Each first one is compiled meanwhile.
  const times = Array.from({ length: 20 * rounds }, () => routingSide.route(numTokens));
  const seconds = Math.min(...times);
  routing.push({ numTokens, seconds, prefillSeconds: numTokens / measurements[index]!.seap });
}
for (const run of decodes) {
  const name = `decode, batch ${run.batch}, context ${run.context}`;
  measurements.push(await compare(name, run.batch * run.tokens, (side) => side.decode(run)));
}
await llama?.close();

const bareStep = async () => (await seap.decode({ context: 64, batch: 8, tokens: 32 })) / 32;
const server = await HttpSide.start({
  ...{ modelPath, weights, threads },
  flags: { "prefix-cache": "1GiB" },
});
const http = await measureHttp(server, bareStep);
await server.close();
await seap.close();

const cpu = cpus()[0]?.model.trim() ?? "unknown CPU";
const load = loadavg()[0]!.toFixed(1);
const machine = `${cpu}, ${threads} threads, load ${load}; ${basename(modelPath)}`;
const result = { machine, weights, measurements, routing, http };
console.log(formatTable(result));
if (values.json !== undefined) {
  writeFileSync(values.json, JSON.stringify(result, null, 2));
}

/** Tokens per second of both sides, in turn. */
async function compare(
  name: string,
  numTokens: number,
  run: (side: Pick<EngineSide, "prefill" | "decode">) => Promise<number>,
): Promise<SpeedMeasurement> {
  let [ours, theirs] = [Infinity, Infinity];
  for (let round = 0; round < rounds; round++) {
    ours = Math.min(ours, await run(seap));
    if (llama) theirs = Math.min(theirs, await run(llama));
  }
  const perSecond = (seconds: number) => numTokens / seconds;
  const result = { name, seap: perSecond(ours), llama: llama ? perSecond(theirs) : null };
  const peer = result.llama === null ? "" : `, llama.cpp ${result.llama.toFixed(0)}`;
  process.stderr.write(`bench: ${name}: ${result.seap.toFixed(0)} tokens/s${peer}\n`);
  return result;
}

async function measureHttp(side: HttpSide, bareDecodeStep: () => Promise<number>) {
  const prompt = (length: number, first: number) =>
    Array.from({ length }, (_, i) => (((first + i) * 7919 + 13) % 40_000) + 100);
  let firstTokenSeconds = Infinity;
  let [newSeconds, nextSeconds] = [Infinity, Infinity];
  let [bare, served] = [Infinity, Infinity];
  for (let round = 0; round < rounds; round++) {
    const { firstTokenSeconds: seconds } = await side.stream(prompt(128, round), 1);
    firstTokenSeconds = Math.min(firstTokenSeconds, seconds);
    const conversation = prompt(1024, 1000 * (round + 1));
    const first = await side.stream(conversation, 1);
    newSeconds = Math.min(newSeconds, first.firstTokenSeconds);
    const next = await side.stream([...conversation, ...prompt(64, 7)], 1);
    nextSeconds = Math.min(nextSeconds, next.firstTokenSeconds);
    bare = Math.min(bare, await bareDecodeStep());
    const streams = await Promise.all(
      Array.from({ length: 8 }, (_, i) => side.stream(prompt(64, i), 48)),
    );
    served = Math.min(served, commonStep(streams.map(({ arrivals }) => arrivals)));
  }
  const { residentBytes } = side;
  const conversation = { newSeconds, nextSeconds };
  return {
    firstTokenSeconds,
    conversation,
    bareStepSeconds: bare,
    servedStepSeconds: served,
    residentBytes,
  };
}

/** Seconds per step while all streams run: from the last one's start to the first one's end. */
function commonStep(streams: readonly (readonly number[])[]): number {
  const from = Math.max(...streams.map((arrivals) => arrivals[1]!));
  const to = Math.min(...streams.map((arrivals) => arrivals.at(-2)!));
  const steps = streams.map((arrivals) => arrivals.filter((at) => at > from && at <= to).length);
  return (to - from) / 1000 / Math.max(...steps);
}

function crossProduct(contexts: readonly number[], batches: readonly number[]): number[][] {
  return contexts.flatMap((context) => batches.map((batch) => [context, batch]));
}
