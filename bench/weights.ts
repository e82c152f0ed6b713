import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { openDevice } from "../engine/device/open-device.ts";
import type { Device, Stage } from "../engine/device/device.ts";
import { loadStages } from "../engine/run/load-stages.ts";
import { builtStages } from "../model/prepared/stage-source.ts";
import { namedModels } from "../model/source/named-models.ts";
import { resolveModel } from "../model/source/source.ts";
import { createTokenizer } from "../model/text/tokenizer.ts";
import type { ModelWeights } from "../model/weights/config.ts";
import { openModel } from "../model/weights/open-model.ts";
import { numParameters } from "../model/weights/tensor-shapes.ts";
import { physicalCores } from "../server/config/physical-cores.ts";
import { roundedWeights } from "./round-trip.ts";
import type { Rounding } from "./round-trip.ts";

/**
 * `npm run bench:weights [-- --models a,b --data folder --json]`: what rounding a model's weights costs in quality, beside
 * fp32 of the same file: bytes, perplexity, and Kullback-Leibler divergence of the next token's distribution, on text
 * and code of a folder of task data.
 */

const { values } = parseArgs({
  options: {
    models: { type: "string", default: namedModels.map(({ name }) => name).join(",") },
    data: { type: "string", default: "../shared/data" },
    tokens: { type: "string", default: "256" },
  },
});

const roundings: readonly Rounding[] = [
  { name: "q8", bits: 8, blockSize: 32, searches: false },
  { name: "q4, blocks of 32", bits: 4, blockSize: 32, searches: false },
  { name: "q4, blocks of 32, searched", bits: 4, blockSize: 32, searches: true },
  { name: "q4, blocks of 128", bits: 4, blockSize: 128, searches: false },
  { name: "q4, blocks of 128, searched", bits: 4, blockSize: 128, searches: true },
];

const texts = readTexts(values.data);
if (texts === null) {
  console.error(`bench: skipped, as ${values.data} has no task data to read`);
} else {
  for (const name of values.models.split(",")) await measure(name, texts);
}

interface Quality {
  readonly logProbabilities: readonly Float32Array[];
  readonly nll: number;
}

async function measure(name: string, samples: readonly string[]): Promise<void> {
  const { path } = await resolveModel(name);
  const { weights, tokenizer: source } = await openModel(path);
  const tokenizer = createTokenizer(source);
  const numTokens = Number(values.tokens);
  const sequences = samples.map((text) =>
    tokenizer.encode(text, { parseSpecial: false }).slice(0, numTokens),
  );
  const reference = await distributions(weights, sequences, null);
  console.log(
    `\n${name}: perplexity of the file's own weights ${Math.exp(reference.nll).toFixed(3)}\n`,
  );
  console.log("| weights | MB | perplexity | KL to the file's, nats | largest KL of a tenth |");
  console.log("| --- | --- | --- | --- | --- |");
  for (const rounding of roundings) {
    const divergences: number[] = [];
    const rounded = roundedWeights(weights, rounding);
    const { nll } = await distributions(rounded, sequences, (index, row) => {
      divergences.push(divergence(reference.logProbabilities[index]!, row));
    });
    divergences.sort((a, b) => a - b);
    const mean = divergences.reduce((sum, value) => sum + value, 0) / divergences.length;
    const ninth = divergences[Math.floor(0.9 * divergences.length)]!;
    console.log(
      `| ${rounding.name} | ${(bytesOf(weights, rounding) / 1e6).toFixed(0)} | ${Math.exp(nll).toFixed(3)} ` +
        `| ${mean.toFixed(5)} | ${ninth.toFixed(5)} |`,
    );
  }
  weights.close();
}

/** @param use called with each position's log-probabilities, which are not kept then; null keeps them */
async function distributions(
  weights: ModelWeights,
  sequences: readonly Uint32Array[],
  use: ((index: number, row: Float32Array) => void) | null,
): Promise<Quality> {
  const numThreads = physicalCores();
  const device = await openDevice({ numThreads, config: weights.config });
  const { trunk, middle, head } = await loadStages(device, builtStages(weights, "f32", "dense"));
  const kept: Float32Array[] = [];
  let [nll, index] = [0, 0];
  for (const ids of sequences) {
    const rows = await logitRows(device, [trunk, ...middle], head, ids);
    for (const [position, row] of rows.slice(0, -1).entries()) {
      const own = logSoftmax(row);
      nll -= own[ids[position + 1]!]!;
      if (use) use(index, own);
      else kept.push(own);
      index += 1;
    }
  }
  for (const stage of [trunk, ...middle, head]) await stage.dispose();
  return { logProbabilities: kept, nll: nll / index };
}

async function logitRows(
  device: Device,
  stages: readonly Stage[],
  head: Stage,
  input: Uint32Array,
): Promise<Float32Array[]> {
  const [kv] = await device.openKv([...stages, head], input.length);
  const pass = device.createPass();
  const [hidden] = await pass.forward(stages, [{ kv: kv!, input }]);
  const rows = [...input.keys()];
  const [logits] = await pass.forwardLogits(head, [{ kv: kv!, input: hidden!, rows }]);
  hidden!.dispose();
  kv!.release();
  const width = logits!.length / rows.length;
  return rows.map((row) => logits!.subarray(row * width, (row + 1) * width));
}

function logSoftmax(row: Float32Array): Float32Array {
  let largest = -Infinity;
  for (const value of row) largest = Math.max(largest, value);
  let sum = 0;
  for (const value of row) sum += Math.exp(value - largest);
  const logSum = largest + Math.log(sum);
  return row.map((value) => value - logSum);
}

/** Kullback-Leibler, in nats, of `other` from `own`; both log-probabilities. */
function divergence(own: Float32Array, other: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < own.length; i++) sum += Math.exp(own[i]!) * (own[i]! - other[i]!);
  return sum;
}

/** Of all matrices, with scales of 4 bytes and zero points of 4 bits. */
function bytesOf({ config }: ModelWeights, { bits, blockSize }: Rounding): number {
  const tableWeights = 2 * config.vocabSize * config.hiddenSize;
  const untied = numParameters({ ...config, tiedEmbeddings: false });
  const perWeight = bits / 8 + (4 + (bits === 4 ? 0.5 : 0)) / blockSize;
  return tableWeights * (1 + 4 / 32) + (untied - tableWeights) * perWeight;
}

/** Pieces of articles and of programs; null where the folder does not have them. */
function readTexts(folder: string): string[] | null {
  const files = ["wikitext2.eval.jsonl", "mbpp.eval.jsonl"].map((file) => join(folder, file));
  if (!files.every((file) => existsSync(file))) return null;
  const [articles, programs] = files.map((file) =>
    readFileSync(file, "utf8")
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as { readonly text: string; readonly code?: string }),
  );
  const prose = articles!
    .map(({ text }) => text)
    .filter((text) => text.length > 900)
    .slice(0, 3);
  const code = [0, 20, 40].map((start) =>
    programs!
      .slice(start, start + 20)
      .map(({ text, code: program }) => `# ${text}\n${program}`)
      .join("\n\n"),
  );
  return [...prose, ...code];
}
