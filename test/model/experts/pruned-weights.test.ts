import test from "ava";
import { openDevice } from "../../../engine/device/open-device.ts";
import type { ModelConfig, ModelWeights } from "../../../model/weights/config.ts";
import { createExpertPlan, planShapes } from "../../../model/experts/expert-plan.ts";
import type { ExpertPlan, LayerPlan } from "../../../model/experts/expert-plan.ts";
import {
  buildHead,
  buildMiddle,
  buildTrunk,
  stageBorders,
} from "../../../model/stages/model-stages.ts";
import { headRows, prunedWeights } from "../../../model/experts/pruned-weights.ts";
import type { Replacement, Replacements } from "../../../model/experts/pruned-weights.ts";
import type { WeightFormat } from "../../../model/weights/quantize.ts";
import { plainForward } from "../../helpers/plain-forward.ts";
import { randomMatrix, seededRandom } from "../../helpers/random-problem.ts";
import { tinyPlan } from "../../helpers/made-up-experts.ts";
import { forwardAlone } from "../../helpers/forward-alone.ts";
import { somePrompt } from "../../helpers/requests.ts";
import { tinyModel } from "../../helpers/tiny-model.ts";

const options = { numLayers: 7, numHeads: 6, numKvHeads: 3 };
const dense = tinyModel(options);
const { config } = dense;
const range = (length: number) => Array.from({ length }, (_, i) => i);
const everything: LayerPlan = {
  keptHeads: range(6),
  keptKvHeads: range(3),
  keptChannels: range(96),
};

function planOf(...layers: Partial<LayerPlan>[]): ExpertPlan {
  const whole = layers.map((layer) => ({ ...everything, ...layer }));
  return createExpertPlan(dense, { task: "code", recipe: {}, layers: whole });
}

/** Three layers: one head less in each group, two groups less, and channels here and there. */
const pruned = planOf(
  { keptHeads: [1, 2, 5], keptChannels: range(96).filter((i) => i % 3 !== 1) },
  { keptHeads: [2, 3], keptKvHeads: [1], keptChannels: range(32).map((i) => 3 * i) },
  { keptChannels: range(64) },
);

/** Modules that go as a whole, alone and together. */
const withoutModules = planOf(
  { keptHeads: [], keptKvHeads: [], keptChannels: range(64) },
  { keptHeads: [], keptKvHeads: [], keptChannels: [] },
  { keptHeads: [0, 1], keptKvHeads: [0], keptChannels: [] },
);

async function expertLogits(
  plan: ExpertPlan,
  format: WeightFormat,
  replacements?: Replacements,
): Promise<Float32Array> {
  const device = await openDevice({
    numThreads: 1,
    config,
  });
  const weights = prunedWeights(dense, plan, replacements);
  const models = [
    buildTrunk(weights, format),
    buildMiddle(weights, format, { name: "expert", shapes: planShapes(plan) }),
    buildHead(weights, format),
  ];
  const ids = somePrompt(12);
  const stages = await Promise.all(models.map((model) => device.loadStage(model)));
  try {
    return await forwardAlone(device, stages, ids);
  } finally {
    for (const stage of stages) await stage.dispose();
  }
}

/**
 * The dense model with what a plan removes masked: columns of output and down set to zero, or to those of a
 * replacement, whose bias is added.
 */
function maskedLogits(plan: ExpertPlan, replacements: Replacements = () => null): Float32Array {
  const { middle } = stageBorders(config);
  const mask = (matrix: Float32Array, kept: readonly number[], by: Float32Array | null) => {
    const columns = matrix.length / config.hiddenSize;
    const result = new Float32Array(matrix.length);
    for (let row = 0; row < config.hiddenSize; row++) {
      for (const [i, j] of kept.entries()) {
        const at = row * columns + j;
        result[at] = by ? by[row * kept.length + i]! : matrix[at]!;
      }
    }
    return result;
  };
  const masked: ModelWeights = {
    ...dense,
    readLayerTensor(layer, role) {
      const matrix = dense.readLayerTensor(layer, role);
      const kept = plan.layers[layer - middle];
      if (!kept || (role !== "output" && role !== "down")) return matrix;
      const columns =
        role === "output" ? headRows(kept.keptHeads, config.headDim) : kept.keptChannels;
      return mask(matrix, columns, replacements(layer, role)?.matrix ?? null);
    },
    readLayerBias(layer, role) {
      if (role !== "outputBias" && role !== "downBias") return null;
      return replacements(layer, role === "outputBias" ? "output" : "down")?.bias ?? null;
    },
  };
  return plainForward(masked, somePrompt(12));
}

function largestDifference(a: Float32Array, b: Float32Array): number {
  return a.reduce((largest, value, i) => Math.max(largest, Math.abs(value - b[i]!)), 0);
}

/** Random refitted matrices and biases for the middle of a plan. */
function randomReplacements(plan: ExpertPlan, { hiddenSize, headDim }: ModelConfig): Replacements {
  const { middle } = stageBorders(config);
  const random = seededRandom(8);
  const table = plan.layers.map(({ keptHeads, keptChannels }) => {
    const make = (numInputs: number): Replacement => ({
      matrix: randomMatrix(random, hiddenSize * numInputs).map((value) => value / 8),
      bias: randomMatrix(random, hiddenSize),
    });
    return { output: make(keptHeads.length * headDim), down: make(keptChannels.length) };
  });
  return (layer, role) => table[layer - middle]?.[role] ?? null;
}

test("a plan that keeps everything gives exactly the dense graphs and logits", async (t) => {
  const plan = planOf({}, {}, {});
  t.is(plan.sparsity.middle, 0);
  const name = { name: "expert" };
  const shapes = planShapes(plan);
  const expert = buildMiddle(prunedWeights(dense, plan), "q8", { ...name, shapes });
  t.deepEqual(expert, buildMiddle(dense, "q8", name));
  t.true(
    largestDifference(await expertLogits(plan, "f32"), plainForward(dense, somePrompt(12))) < 5e-5,
  );
});

for (const [title, plan] of Object.entries({ pruned, withoutModules })) {
  test(`the graph of a plan equals the dense model with what is removed masked to zero: ${title}`, async (t) => {
    t.true(largestDifference(await expertLogits(plan, "f32"), maskedLogits(plan)) < 5e-5);
  });

  test(`the graph of a plan equals the masked dense model with refitted columns and biases: ${title}`, async (t) => {
    const replacements = randomReplacements(plan, config);
    const expected = maskedLogits(plan, replacements);
    t.true(largestDifference(await expertLogits(plan, "f32", replacements), expected) < 5e-5);
    t.true(largestDifference(maskedLogits(plan), expected) > 0.1);
  });

  for (const [format, tolerance] of [
    ["q8", 0.1],
    ["q4", 0.7],
  ] as const) {
    test(`a quantised graph of a plan has its biases: ${format}, ${title}`, async (t) => {
      const replacements = randomReplacements(plan, config);
      const expected = maskedLogits(plan, replacements);
      const logits = await expertLogits(plan, format, replacements);
      const square = (values: Float32Array) =>
        values.reduce((sum, value) => sum + value * value, 0);
      const error = square(logits.map((value, i) => value - expected[i]!));
      t.true(
        Math.sqrt(error / square(expected)) < tolerance,
        `${Math.sqrt(error / square(expected))}`,
      );
    });
  }
}

test("layers outside the middle and tensors outside the layers are the dense ones", (t) => {
  const weights = prunedWeights(dense, pruned);
  t.deepEqual(weights.readLayerTensor(1, "down"), dense.readLayerTensor(1, "down"));
  t.deepEqual(weights.readLayerTensor(5, "query"), dense.readLayerTensor(5, "query"));
  t.deepEqual(weights.readTensor("embedding"), dense.readTensor("embedding"));
  t.is(weights.readLayerBias(1, "downBias"), null);
  t.is(weights.contentHash, dense.contentHash);
});

test("an expert of a model with biases and norms of heads gives what masking its inputs gives, to 1e-4", async (t) => {
  const described = tinyModel({
    numLayers: 7,
    describe: () => ({
      biases: ["query", "key", "value", "output", "gate", "up", "down"],
      norms: ["attentionNorm", "queryNorm", "keyNorm", "mlpNorm", "mlpPostNorm"],
      activation: "gelu-tanh",
    }),
  });
  const { middle } = stageBorders(described.config);
  const { headDim, hiddenSize } = described.config;
  const plan = tinyPlan(described, "code", 1);
  const pruned = prunedWeights(described, plan);
  const masked: ModelWeights = {
    ...described,
    readLayerTensor(layer, role) {
      const matrix = described.readLayerTensor(layer, role);
      const kept = plan.layers[layer - middle];
      if (!kept || (role !== "output" && role !== "down")) return matrix;
      const columns = matrix.length / hiddenSize;
      const inputs = role === "down" ? kept.keptChannels : headRows(kept.keptHeads, headDim);
      const isKept = new Set(inputs);
      return matrix.map((value, i) => (isKept.has(i % columns) ? value : 0));
    },
  };
  const ids = somePrompt(20);
  const device = await openDevice({ numThreads: 1, config: described.config });
  const stages = [
    await device.loadStage(buildTrunk(pruned, "f32")),
    await device.loadStage(buildMiddle(pruned, "f32", { name: "code", shapes: planShapes(plan) })),
    await device.loadStage(buildHead(pruned, "f32")),
  ];
  const logits = await forwardAlone(device, stages, ids);
  for (const stage of stages) await stage.dispose();
  const expected = plainForward(masked, ids);
  t.true(logits.every((value, i) => Math.abs(value - expected[i]!) < 1e-4));
});
