import { cpus, loadavg } from "node:os";
import { plainAngles } from "../model/weights/rope.ts";
import { parseArgs } from "node:util";
import type { ModelConfig } from "../model/weights/config.ts";
import { plainLayer } from "../model/weights/layer-spec.ts";
import type { WeightFormat } from "../model/weights/quantize.ts";
import { physicalCores } from "../server/config/physical-cores.ts";
import { defaultModelSide, llamaShapedSide } from "./expert-sides.ts";
import type { ExpertSide } from "./expert-sides.ts";

/**
 * `npm run bench:experts [-- --shape llama-2-7b --layers 4] [--sparsity 0.2,0.5]`: how much faster a pruned
 * model is than the dense one, at SEAP's layer sparsities. Both run in turn and the best of all rounds counts.
 */

const { values } = parseArgs({
  options: {
    shape: { type: "string", default: "default" },
    layers: { type: "string", default: "4" },
    model: { type: "string", default: "default" },
    sparsity: { type: "string", default: "0.2,0.3,0.5" },
    weights: { type: "string", default: "q8" },
    threads: { type: "string", default: String(physicalCores()) },
    rounds: { type: "string", default: "3" },
  },
});
const format = values.weights as WeightFormat;
const numThreads = Number(values.threads);
const rounds = Number(values.rounds);
const targets = values.sparsity.split(",").map(Number);

/** Layer shapes of Llama 2 7B (arXiv 2307.09288), with a small vocabulary: only layers are measured. */
const numLayers = Number(values.layers);
const rotaryFrequencies = Float32Array.from({ length: 64 }, (_, i) => 10_000 ** (-i / 64));
const layer = plainLayer({ headDim: 128, isInterleaved: false });
const llama2: ModelConfig = {
  architecture: "llama",
  numLayers,
  layers: Array.from({ length: numLayers }, () => layer),
  hiddenSize: 4096,
  numHeads: 32,
  numKvHeads: 32,
  headDim: 128,
  intermediateSize: 11_008,
  vocabSize: 512,
  contextLength: 4096,
  rmsNormEps: 1e-5,
  embeddingScale: 1,
  logitScale: 1,
  rotaryTables: [plainAngles(rotaryFrequencies)],
  tiedEmbeddings: true,
};

const isLlama = values.shape === "llama-2-7b";
const sides: ExpertSide[] = [];
for (const target of [0, ...targets]) {
  sides.push(
    isLlama
      ? await llamaShapedSide(llama2, target, { format, numThreads })
      : await defaultModelSide(values.model, target, { format, numThreads }),
  );
}

const runs: readonly (readonly [string, (side: ExpertSide) => Promise<number>])[] = [
  ["prefill 512 tokens", (side) => side.prefill(512)],
  ["decode, batch 1", (side) => side.decode({ batch: 1, context: 64, tokens: isLlama ? 8 : 24 })],
  ["decode, batch 8", (side) => side.decode({ batch: 8, context: 64, tokens: isLlama ? 8 : 24 })],
];
const best = runs.map(() => sides.map(() => Infinity));
for (let round = 0; round < rounds; round++) {
  for (const [run, [, measure]] of runs.entries()) {
    for (const [side, measured] of sides.entries()) {
      best[run]![side] = Math.min(best[run]![side]!, await measure(measured));
    }
  }
}

const what = isLlama
  ? `${values.layers} layers of Llama 2 7B's shape, random weights`
  : "the default model as a whole, its middle pruned";
const cpu = cpus()[0]?.model.trim() ?? "unknown CPU";
console.log(`${what}; ${format}, ${cpu}, ${numThreads} threads, load ${loadavg()[0]!.toFixed(1)}

| speed-up over dense | ${sides
  .slice(1)
  .map(({ sparsity }) => `${(sparsity * 100).toFixed(1)} % removed`)
  .join(" | ")} |
|---|${sides
  .slice(1)
  .map(() => "---|")
  .join("")}
${runs
  .map(([name], run) => {
    const [dense, ...pruned] = best[run]!;
    return `| ${name} | ${pruned.map((seconds) => `× ${(dense! / seconds).toFixed(2)}`).join(" | ")} |`;
  })
  .join("\n")}
| bytes of the weights | ${sides
  .slice(1)
  .map(({ sizeBytes }) => `× ${(sizeBytes / sides[0]!.sizeBytes).toFixed(2)}`)
  .join(" | ")} |
`);
for (const side of sides) await side.close();
