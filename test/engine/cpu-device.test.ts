import test from "ava";

import type { ForwardBatch, KvArena, Stage } from "../../engine/device.ts";
import { CpuDevice } from "../../engine/cpu-device.ts";
import type { ModelWeights } from "../../model/config.ts";
import { buildHead, buildMiddle, buildTrunk } from "../../model/model-stages.ts";
import type { WeightFormat } from "../../model/quantize.ts";
import { plainForward } from "../helpers/plain-forward.ts";
import { tinyModel } from "../helpers/tiny-model.ts";

const DIMENSIONS = {
  numLayers: 5,
  hiddenSize: 64,
  numHeads: 4,
  numKvHeads: 2,
  headDim: 32,
  intermediateSize: 96,
  vocabSize: 128,
};

/** All three stages over one sequence, with arenas of a given capacity. */
class Pipeline {
  readonly stages: readonly Stage[];
  readonly arenas: KvArena[];
  length = 0;

  constructor(stages: readonly Stage[], arenas: KvArena[]) {
    this.stages = stages;
    this.arenas = arenas;
  }

  static async create(weights: ModelWeights, format: WeightFormat, capacity: number, numSlots = 1) {
    const { ropeInverseFrequencies } = weights.config;
    const device = new CpuDevice({ numThreads: 1, ropeInverseFrequencies });
    const models = [
      buildTrunk(weights, format),
      buildMiddle(weights, format, { name: "dense" }),
      buildHead(weights, format),
    ];
    const stages: Stage[] = [];
    const arenas: KvArena[] = [];
    for (const model of models) {
      stages.push(await device.loadStage(model));
      arenas.push(
        device.createArena({ layers: model.layers, headDim: model.headDim, capacity, numSlots }),
      );
    }
    return new Pipeline(stages, arenas);
  }

  async forward(
    tokenIds: readonly number[],
    pastLengths: readonly number[],
  ): Promise<Float32Array> {
    const numNewTokens = tokenIds.length / pastLengths.length;
    const batch = (i: number): ForwardBatch => ({
      arena: this.arenas[i]!,
      firstSlot: 0,
      pastLengths,
      numNewTokens,
    });
    const trunk = await this.stages[0]!.forward(Uint32Array.from(tokenIds), batch(0));
    const middle = await this.stages[1]!.forward(trunk, batch(1));
    return this.stages[2]!.forwardLogits(middle, batch(2), [...tokenIds.keys()]);
  }

  async dispose() {
    for (const stage of this.stages) await stage.dispose();
  }
}

function largestDifference(a: Float32Array, b: Float32Array): number {
  return a.reduce((largest, value, i) => Math.max(largest, Math.abs(value - b[i]!)), 0);
}

const tokens = (length: number, seed = 1) =>
  Array.from({ length }, (_, i) => (i * 37 + seed * 11) % DIMENSIONS.vocabSize);

for (const [title, options] of [
  ["grouped-query, tied, interleaved rotary", { tiedEmbeddings: true, ropeInterleaved: true }],
  ["grouped-query, untied, half-split rotary", { tiedEmbeddings: false, ropeInterleaved: false }],
  ["one KV head per query head", { numKvHeads: 4 }],
  ["one KV head for all", { numKvHeads: 1 }],
] as const) {
  test(`fp32 stages give the plain forward's logits: ${title}`, async (t) => {
    const weights = tinyModel({ ...DIMENSIONS, ...options });
    const ids = tokens(12);
    const pipeline = await Pipeline.create(weights, "f32", 64);
    t.teardown(() => pipeline.dispose());
    const logits = await pipeline.forward(ids, [0]);
    t.true(largestDifference(logits, plainForward(weights, ids)) < 1e-4);
  });
}
