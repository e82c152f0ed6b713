import test from "ava";
import type { ExecutionContext } from "ava";

import type { Stage } from "../../../engine/device/device.ts";
import { InferenceError } from "../../../engine/contract/errors.ts";
import { openDevice } from "../../../engine/device/open-device.ts";
import type { ModelWeights } from "../../../model/weights/config.ts";
import {
  buildHead,
  buildMiddle,
  buildTrunk,
  stageBorders,
  totalBytes,
} from "../../../model/stages/model-stages.ts";
import type { WeightFormat } from "../../../model/weights/quantize.ts";
import { buildStage } from "../../../model/stages/build-stage.ts";
import type { StageModel } from "../../../model/stages/stage-spec.ts";
import type { LayerShape } from "../../../model/weights/layer-spec.ts";
import { forwardAlone, LoneSequence } from "../../helpers/forward-alone.ts";
import { brokenStage } from "../../helpers/broken-stage.ts";
import { plainForward } from "../../helpers/plain-forward.ts";
import { somePrompt } from "../../helpers/requests.ts";
import { tinyFamilies } from "../../helpers/tiny-families.ts";
import { tinyModel } from "../../helpers/tiny-model.ts";
import type { TinyModelOptions } from "../../helpers/tiny-model.ts";

/** Trunk, middle and head on a device of their own. */
async function load(
  t: ExecutionContext,
  weights: ModelWeights,
  format: WeightFormat,
  layerShapes: readonly LayerShape[] | undefined,
) {
  const device = await openDevice({ numThreads: 1, config: weights.config });
  const stages: Stage[] = [];
  for (const model of buildStages(weights, format, layerShapes)) {
    stages.push(await device.loadStage(model));
  }
  t.teardown(async () => {
    for (const stage of stages) await stage.dispose();
  });
  return { device, stages };
}

/** Trunk, middle and head; with widths per layer where given. */
function buildStages(
  weights: ModelWeights,
  format: WeightFormat,
  shapes: readonly LayerShape[] | undefined,
): StageModel[] {
  if (!shapes) {
    return [
      buildTrunk(weights, format),
      buildMiddle(weights, format, { name: "dense" }),
      buildHead(weights, format),
    ];
  }
  const { middle, head } = stageBorders(weights.config);
  const borders = [0, middle, head, weights.config.numLayers];
  return ["trunk", "middle", "head"].map((name, i) => {
    const [firstLayer, end] = [borders[i]!, borders[i + 1]!];
    return buildStage(weights, {
      name,
      firstLayer,
      numLayers: end - firstLayer,
      shapes: shapes.slice(firstLayer, end),
      hasEmbedding: i === 0,
      hasHead: i === 2,
      format,
    });
  });
}

function largestDifference(a: Float32Array, b: Float32Array): number {
  return a.reduce((largest, value, i) => Math.max(largest, Math.abs(value - b[i]!)), 0);
}

function standardDeviation(values: Float32Array): number {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length);
}

const shape = (numHeads: number, numKvHeads: number, intermediateSize: number): LayerShape => ({
  numHeads,
  numKvHeads,
  intermediateSize,
});

const models: Readonly<Record<string, TinyModelOptions>> = {
  "grouped-query, tied, interleaved rotary": { ropeInterleaved: true },
  "grouped-query, untied, half-split rotary": { tiedEmbeddings: false },
  "one KV head per query head": { numKvHeads: 4 },
  "one KV head for all": { numKvHeads: 1 },
  "two layers, so neither trunk nor head has one": { numLayers: 2 },
  "three layers, one a stage": { numLayers: 3 },
  "one layer": { numLayers: 1 },
  "different widths per layer": {
    numHeads: 6,
    numKvHeads: 3,
    layerShapes: [
      shape(6, 3, 96),
      shape(4, 2, 64),
      shape(2, 1, 32),
      shape(3, 3, 160),
      shape(6, 3, 96),
    ],
  },
  "layers without attention, without channels and without either": {
    numLayers: 7,
    layerShapes: [
      shape(0, 0, 96),
      shape(4, 2, 96),
      shape(0, 0, 64),
      shape(2, 2, 0),
      shape(0, 0, 0),
      shape(4, 2, 32),
      shape(4, 2, 0),
    ],
  },
  "biases of queries, keys and values": {
    describe: () => ({ biases: ["query", "key", "value"] }),
  },
  "biases of all projections": {
    describe: () => ({ biases: ["query", "key", "value", "output", "gate", "up", "down"] }),
  },
  "norms of queries and keys": {
    describe: () => ({ norms: ["attentionNorm", "queryNorm", "keyNorm", "mlpNorm"] }),
  },
  "norms of the queries alone, and some layers without": {
    describe: (layer) =>
      layer % 2 === 0 ? { norms: ["attentionNorm", "queryNorm", "mlpNorm"] } : {},
  },
  "norms after attention and MLP": {
    describe: () => ({
      norms: ["attentionNorm", "attentionPostNorm", "mlpNorm", "mlpPostNorm"],
    }),
  },
  "norms after the modules alone": {
    describe: () => ({ norms: ["attentionPostNorm", "mlpPostNorm"] }),
  },
  "GELU, and scales of embedding, residual, scores and logits": {
    embeddingScale: 8,
    logitScale: 0.5,
    describe: () => ({ activation: "gelu-tanh", residualScale: 0.7, scoreScale: 0.3 }),
  },
  "windows of 4 in some layers, of 7 in others": {
    describe: (layer) => ({ window: [null, 4, 7][layer % 3]! }),
  },
  "two rotary tables": {
    moreTables: [[8, 100]],
    describe: (layer) =>
      layer % 2 === 0 ? {} : { rotary: { table: 1, size: 16, isInterleaved: false } },
  },
  "part of a head turned": {
    moreTables: [[4, 1000]],
    describe: () => ({ rotary: { table: 1, size: 8, isInterleaved: false } }),
  },
  "part of a head turned, neighbouring pairs": {
    moreTables: [[4, 1000]],
    describe: () => ({ rotary: { table: 1, size: 8, isInterleaved: true } }),
  },
  "everything at once, pruned": {
    numLayers: 7,
    moreTables: [[8, 100]],
    embeddingScale: 4,
    logitScale: 0.7,
    layerShapes: [
      shape(4, 2, 96),
      shape(4, 2, 96),
      shape(2, 2, 64),
      shape(0, 0, 32),
      shape(2, 1, 0),
      shape(4, 2, 96),
      shape(4, 2, 96),
    ],
    describe: (layer) => ({
      norms: [
        ...(["attentionNorm", "queryNorm", "keyNorm", "attentionPostNorm"] as const),
        ...(["mlpNorm", "mlpPostNorm"] as const),
      ],
      biases: ["query", "key", "value", "output", "gate", "up", "down"],
      activation: "gelu-tanh",
      window: layer % 2 === 0 ? 5 : null,
      rotary: { table: layer % 2, size: 16, isInterleaved: false },
      residualScale: 0.8,
    }),
  },
  "a middle without any attention": {
    layerShapes: [
      shape(4, 2, 96),
      shape(4, 2, 96),
      shape(0, 0, 64),
      shape(4, 2, 96),
      shape(4, 2, 96),
    ],
  },
};

const pruned = [shape(4, 2, 64), shape(2, 1, 32), shape(0, 0, 96), shape(4, 2, 0)];

/** Each family, whole and with a middle that is pruned. */
const families = Object.entries(tinyFamilies).flatMap(([name, { model }]) => {
  const { numLayers = 5, numKvHeads = 2 } = model;
  const layerShapes = Array.from({ length: numLayers }, (_, layer) => {
    const { numHeads, intermediateSize } = pruned[layer % pruned.length]!;
    return shape(numHeads, Math.min(numHeads, numKvHeads), intermediateSize);
  });
  return [
    [name, model],
    [`${name}, pruned`, { ...model, layerShapes }],
  ] as const;
});

for (const [title, options] of [...Object.entries(models), ...families]) {
  test(`fp32 stages give the plain forward's logits to 5e-5, at once and token by token: ${title}`, async (t) => {
    const weights = tinyModel(options);
    const { vocabSize } = weights.config;
    const ids = somePrompt(30);
    const expected = plainForward(weights, ids, options);
    const { device, stages } = await load(t, weights, "f32", options.layerShapes);
    t.true(largestDifference(await forwardAlone(device, stages, ids), expected) < 5e-5);
    const sequence = await LoneSequence.open(device, stages);
    for (const [position, id] of ids.entries()) {
      const row = expected.subarray(position * vocabSize, (position + 1) * vocabSize);
      t.true(largestDifference(await sequence.forward([id]), row) < 5e-5);
    }
  });
}

/** Root mean square of the logits' errors, in standard deviations of the logits. */
const tolerances = { q8: 0.1, q4: 0.7 } as const;

for (const format of ["q8", "q4"] as const) {
  for (const [title, options] of [
    ["widths that are multiples of 32", {}],
    [
      "widths that are not",
      { headDim: 20, layerShapes: [70, 71, 72, 97, 101].map((width) => shape(4, 2, width)) },
    ],
  ] as [string, TinyModelOptions][]) {
    const tolerance = tolerances[format];
    test(`${format} stages are off by ${tolerance} of the logits' deviation at most: ${title}`, async (t) => {
      const weights = tinyModel(options);
      const ids = somePrompt(40);
      const expected = plainForward(weights, ids, options);
      const { device, stages } = await load(t, weights, format, options.layerShapes);
      const logits = await forwardAlone(device, stages, ids);
      const error = standardDeviation(logits.map((value, i) => value - expected[i]!));
      t.true(error < tolerance * standardDeviation(expected), `${error}`);
    });
  }
}

async function tinyDevice() {
  const weights = tinyModel();
  return { weights, device: await openDevice({ numThreads: 1, config: weights.config }) };
}

test("the device counts the bytes of loaded stages and of sequences' KV", async (t) => {
  const { weights, device } = await tinyDevice();
  const model = buildTrunk(weights, "q8");
  const stage = await device.loadStage(model);
  t.is(device.weightBytes, totalBytes([model]));
  const kvs = await device.openKv([stage], 30, 2);
  // 2 layers of 2 KV heads, keys and values
  const slotBytes = (64 + 32) * 2 * 2 * 2 * model.spec.headDim * 4;
  t.is(kvs[0]!.sizeBytes, slotBytes);
  t.is(device.kvBytes, 2 * slotBytes);
  t.is(device.kvBytesFor([stage], 30), slotBytes);
  for (const kv of [...kvs, ...kvs]) kv.release();
  t.is(device.kvBytes, 0);
  await stage.dispose();
  await stage.dispose();
  t.is(device.weightBytes, 0);
});

test("a stage that cannot be loaded is an InferenceError with its name and costs nothing", async (t) => {
  const { weights, device } = await tinyDevice();
  const model = brokenStage(buildTrunk(weights, "q8"));
  const error = await t.throwsAsync(device.loadStage(model), { instanceOf: InferenceError });
  t.regex(error.message, /^Stage trunk could not be loaded: /);
  t.is(device.weightBytes, 0);
});

test("a pass that fails and a pass after the release are InferenceErrors with the stage's name", async (t) => {
  const { weights, device } = await tinyDevice();
  const stage = await device.loadStage(buildTrunk(weights, "q8"));
  const forward = async (input: Uint32Array) => {
    const [kv] = await device.openKv([stage], 1);
    return device.createPass().forward([stage], [{ kv: kv!, input }]);
  };
  const beyondVocabulary = Uint32Array.of(weights.config.vocabSize);
  await t.throwsAsync(forward(beyondVocabulary), {
    instanceOf: InferenceError,
    message: /^Stage trunk failed: /,
  });
  await t.notThrowsAsync(forward(Uint32Array.of(1)));
  await stage.dispose();
  await t.throwsAsync(forward(Uint32Array.of(1)), {
    instanceOf: InferenceError,
    message: "Stage trunk was released.",
  });
});

test("the states of sequences that are computed in one batch are each sequence's own", async (t) => {
  const { weights, device } = await tinyDevice();
  const stage = await device.loadStage(buildTrunk(weights, "f32"));
  t.teardown(() => stage.dispose());
  const run = async (prompts: readonly (readonly number[])[]) => {
    const kvs = await device.openKv([stage], 3, prompts.length);
    const inputs = prompts.map((ids, i) => ({ kv: kvs[i]!, input: Uint32Array.from(ids) }));
    const states = await device.createPass().forward([stage], inputs);
    return Promise.all(states.map(async (hidden) => [...(await device.readRows(hidden))]));
  };
  const prompts = [[1, 2, 3], [4, 5], [3, 2, 1], [6], [7, 8]];
  const together = await run(prompts);
  const { hiddenSize } = weights.config;
  for (const [i, ids] of prompts.entries()) {
    t.is(together[i]!.length, ids.length * hiddenSize);
    t.deepEqual(together[i], (await run([ids]))[0]);
  }
});
