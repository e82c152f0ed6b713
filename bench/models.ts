import { mkdtempSync, rmSync } from "node:fs";
import { cpus, loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { namedModels } from "../model/source/named-models.ts";
import { resolveModel } from "../model/source/source.ts";
import type { WeightFormat } from "../model/weights/quantize.ts";
import { physicalCores } from "../server/config/physical-cores.ts";
import { EngineSide } from "./engine-side.ts";
import { HttpSide } from "./http-side.ts";
import { LlamaPeer } from "./llama-peer.ts";

/**
 * `npm run bench:models [-- --models a,b --rounds 3]`: each named model beside llama.cpp on the same file and threads:
 * speed of the bare engine, memory of the server, and how long it takes until it answers, the first time and again. All
 * sides of a model run in turn, and the best round counts.
 */

const { values } = parseArgs({
  options: {
    models: { type: "string", default: namedModels.map(({ name }) => name).join(",") },
    threads: { type: "string", default: String(physicalCores()) },
    rounds: { type: "string", default: "3" },
  },
});
const threads = Number(values.threads);
const rounds = Number(values.rounds);
const formats: readonly WeightFormat[] = ["q8", "q4"];

/** What is run on each side, with the tokens that it computes. */
const runs = [
  { tokens: 512, run: (side: Side) => side.prefill(512) },
  { tokens: 16, run: (side: Side) => side.decode({ context: 64, batch: 1, tokens: 16 }) },
  { tokens: 128, run: (side: Side) => side.decode({ context: 64, batch: 8, tokens: 16 }) },
] as const;

type Side = Pick<EngineSide, "prefill" | "decode">;

interface Memory {
  readonly residentBytes: number;
  readonly peakBytes: number;
}

interface Row {
  readonly name: string;
  /** Tokens per second of each of `runs`. */
  readonly speeds: readonly number[];
  readonly memory: Memory;
  /** Seconds until it answers; first with nothing kept from before. */
  readonly ready: readonly number[];
}

console.log(`${cpus()[0]?.model.trim()}, ${threads} threads, load ${loadavg()[0]!.toFixed(1)}\n`);
console.log(
  "| model | | prefill 512, tokens/s | decode, batch 1 | decode, batch 8 | memory, MiB (peak) | ready, s (again) |",
);
console.log("| --- | --- | --- | --- | --- | --- | --- |");
for (const name of values.models.split(",")) await measure(name);

async function measure(name: string): Promise<void> {
  const { path: modelPath } = await resolveModel(name);
  const served = new Map<WeightFormat, { memory: Memory; ready: number[] }>();
  for (const format of formats) served.set(format, await serve(modelPath, format));

  const startedAt = performance.now();
  const llama = await LlamaPeer.start({ modelPath, threads, contextSize: 1024, sequences: 8 });
  const llamaSeconds = (performance.now() - startedAt) / 1000;
  const engines = new Map<WeightFormat, EngineSide>();
  for (const format of formats) {
    engines.set(format, await EngineSide.start({ modelPath, weights: format, threads }));
  }
  const sides: readonly Side[] = [...engines.values(), ...(llama ? [llama] : [])];
  const speeds = sides.map(() => runs.map(() => 0));
  for (let round = 0; round < rounds; round++) {
    for (const [i, { tokens, run }] of runs.entries()) {
      for (const [j, side] of sides.entries()) {
        speeds[j]![i] = Math.max(speeds[j]![i]!, tokens / (await run(side)));
      }
    }
  }
  for (const [j, format] of formats.entries()) {
    print(name, { name: `seap ${format}`, speeds: speeds[j]!, ...served.get(format)! });
  }
  if (llama) {
    const { memory } = llama;
    print(name, { name: "llama.cpp", speeds: speeds.at(-1)!, memory, ready: [llamaSeconds] });
  }
  await llama?.close();
  for (const engine of engines.values()) await engine.close();
}

/** Starts the server twice, the first time with an empty cache folder. */
async function serve(modelPath: string, weights: WeightFormat) {
  const cacheDir = mkdtempSync(join(tmpdir(), "seap-bench-"));
  const ready: number[] = [];
  let memory: Memory = { residentBytes: 0, peakBytes: 0 };
  try {
    for (let start = 0; start < 2; start++) {
      const startedAt = performance.now();
      const side = await HttpSide.start({
        ...{ modelPath, weights, threads },
        flags: { "cache-dir": cacheDir },
      });
      ready.push((performance.now() - startedAt) / 1000);
      const { residentBytes, peakBytes } = side;
      memory = { residentBytes, peakBytes: Math.max(memory.peakBytes, peakBytes) };
      await side.close();
    }
  } finally {
    rmSync(cacheDir, { recursive: true });
  }
  return { memory, ready };
}

function print(model: string, { name, speeds, memory, ready }: Row): void {
  const megabytes = (bytes: number) => (bytes / 2 ** 20).toFixed(0);
  const [first, again] = ready.map((seconds) => seconds.toFixed(1));
  const { residentBytes, peakBytes } = memory;
  const cells = [
    ...[model, name],
    ...speeds.map((speed) => speed.toFixed(speed < 100 ? 1 : 0)),
    `${megabytes(residentBytes)} (${megabytes(peakBytes)})`,
    again === undefined ? first : `${first} (${again})`,
  ];
  console.log(`| ${cells.join(" | ")} |`);
}
