import test from "ava";

import type { CpuArena } from "../../../engine/device/cpu-arena.ts";
import type {
  Device,
  ForwardBatch,
  HiddenStates,
  KvArena,
  Stage,
} from "../../../engine/device/device.ts";
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
import { brokenStage } from "../../helpers/broken-stage.ts";
import { plainForward } from "../../helpers/plain-forward.ts";
import { somePrompt } from "../../helpers/requests.ts";
import { tinyModel } from "../../helpers/tiny-model.ts";
import type { TinyModelOptions } from "../../helpers/tiny-model.ts";

/** All three stages over one sequence, with arenas of a given capacity. */
class Pipeline {
  readonly device: Device;
  readonly stages: readonly Stage[];
  readonly arenas: KvArena[];
  constructor(device: Device, stages: readonly Stage[], arenas: KvArena[]) {
    this.device = device;
    this.stages = stages;
    this.arenas = arenas;
  }

  static async create(
    weights: ModelWeights,
    format: WeightFormat,
    layerShapes: readonly LayerShape[] | undefined,
  ) {
    const { ropeInverseFrequencies } = weights.config;
    const device = await openDevice({ numThreads: 1, ropeInverseFrequencies });
    const stages: Stage[] = [];
    const arenas: KvArena[] = [];
    for (const model of buildStages(weights, format, layerShapes)) {
      stages.push(await device.loadStage(model));
      const { layers, headDim } = model.spec;
      arenas.push(device.createArena({ layers, headDim, capacity: 64, numSlots: 1 }));
    }
    return new Pipeline(device, stages, arenas);
  }

  async forward(
    tokenIds: readonly number[],
    pastLengths: readonly number[],
  ): Promise<Float32Array> {
    const pass = this.device.createPass(pastLengths, tokenIds.length / pastLengths.length);
    const batch = (i: number): ForwardBatch => ({
      arena: this.arenas[i]!,
      firstSlot: 0,
      pass,
    });
    const trunk = await this.stages[0]!.forward(Uint32Array.from(tokenIds), batch(0));
    const middle = await this.stages[1]!.forward(trunk, batch(1));
    return this.stages[2]!.forwardLogits(middle, batch(2), [...tokenIds.keys()]);
  }

  async dispose() {
    for (const stage of this.stages) await stage.dispose();
  }
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

for (const [title, options] of Object.entries(models)) {
  test(`fp32 stages give the plain forward's logits to 5e-5, at once and token by token: ${title}`, async (t) => {
    const weights = tinyModel(options);
    const { vocabSize } = weights.config;
    const ids = somePrompt(12);
    const expected = plainForward(weights, ids, options);
    const pipeline = await Pipeline.create(weights, "f32", options.layerShapes);
    t.teardown(() => pipeline.dispose());
    t.true(largestDifference(await pipeline.forward(ids, [0]), expected) < 5e-5);
    for (const [position, id] of ids.entries()) {
      const row = expected.subarray(position * vocabSize, (position + 1) * vocabSize);
      t.true(largestDifference(await pipeline.forward([id], [position]), row) < 5e-5);
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
      const pipeline = await Pipeline.create(weights, format, options.layerShapes);
      t.teardown(() => pipeline.dispose());
      const logits = await pipeline.forward(ids, [0]);
      const error = standardDeviation(logits.map((value, i) => value - expected[i]!));
      t.true(error < tolerance * standardDeviation(expected), `${error}`);
    });
  }
}

async function tinyDevice() {
  const weights = tinyModel();
  const { ropeInverseFrequencies } = weights.config;
  return { weights, device: await openDevice({ numThreads: 1, ropeInverseFrequencies }) };
}

test("the device counts the bytes of loaded stages and allocated arenas", async (t) => {
  const { weights, device } = await tinyDevice();
  const model = buildTrunk(weights, "q8");
  const stage = await device.loadStage(model);
  t.is(device.weightBytes, totalBytes([model]));
  t.is(stage.weightBytes, device.weightBytes);
  await stage.dispose();
  await stage.dispose();
  t.is(device.weightBytes, 0);

  const { layers, headDim } = model.spec;
  const spec = { layers, headDim, capacity: 64 };
  const arena = device.createArena({ ...spec, numSlots: 2 });
  // 2 layers of 2 KV heads, keys and values
  const slotBytes = 64 * 2 * 2 * 2 * headDim * 4;
  t.is(arena.sizeBytes, 2 * slotBytes);
  t.is(device.kvBytes, 2 * slotBytes);
  const other = device.createArena({ ...spec, capacity: 128, numSlots: 0, maxSlots: 5 });
  t.is(device.kvBytes, 2 * slotBytes);
  arena.moveSlot(0, other, 3);
  t.deepEqual([arena.numSlots, other.numSlots], [1, 1]);
  t.deepEqual([arena.sizeBytes, other.sizeBytes], [slotBytes, 2 * slotBytes]);
  t.is(device.kvBytes, 3 * slotBytes);
  other.removeSlot(0);
  arena.dispose();
  arena.dispose();
  t.is(device.kvBytes, 0);
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
  const { layers, headDim } = stage.spec;
  const arena = device.createArena({ layers, headDim, capacity: 64, numSlots: 1 });
  const batch = { arena, firstSlot: 0, pass: device.createPass([0], 1) };
  const beyondVocabulary = Uint32Array.of(weights.config.vocabSize);
  await t.throwsAsync(stage.forward(beyondVocabulary, batch), {
    instanceOf: InferenceError,
    message: /^Stage trunk failed: /,
  });
  await t.notThrowsAsync(stage.forward(Uint32Array.of(1), batch));
  await stage.dispose();
  await t.throwsAsync(stage.forward(Uint32Array.of(1), batch), {
    instanceOf: InferenceError,
    message: "Stage trunk was released.",
  });
});

test("rows of hidden states can be gathered from several batches in any order", async (t) => {
  const { weights, device } = await tinyDevice();
  const stage = await device.loadStage(buildTrunk(weights, "f32"));
  t.teardown(() => stage.dispose());
  const { layers, headDim } = stage.spec;
  const run = (tokenIds: readonly number[]) => {
    const arena = device.createArena({ layers, headDim, capacity: 64, numSlots: 1 });
    const pass = device.createPass([0], tokenIds.length);
    return stage.forward(Uint32Array.from(tokenIds), { arena, firstSlot: 0, pass });
  };
  const [a, b] = [await run([1, 2, 3]), await run([4, 5])];
  const data = (states: HiddenStates) => (states as unknown as { data: Float32Array }).data;
  const gathered = device.gatherRows([
    { source: b, row: 1 },
    { source: a, row: 2 },
    { source: a, row: 0 },
  ]);
  t.is(gathered.numRows, 3);
  const { hiddenSize } = weights.config;
  const row = (states: HiddenStates, i: number) =>
    data(states).slice(i * hiddenSize, (i + 1) * hiddenSize);
  t.deepEqual(row(gathered, 0), row(b, 1));
  t.deepEqual(row(gathered, 1), row(a, 2));
  t.deepEqual(row(gathered, 2), row(a, 0));
});

test("a moved slot holds the positions asked for and nothing else, and the last one takes its place", async (t) => {
  const { device } = await tinyDevice();
  const spec = { layers: [shape(0, 0, 32), shape(4, 2, 32)], headDim: 2 };
  const source = device.createArena({ ...spec, capacity: 64, numSlots: 3 }) as CpuArena;
  const target = device.createArena({
    ...spec,
    capacity: 128,
    numSlots: 2,
    maxSlots: 3,
  }) as CpuArena;
  const ramp = (sign: number) => Float32Array.from({ length: 2 * 3 * 2 }, (_, i) => sign * (i + 1));
  source.append(ramp(1), ramp(-1), 1, [0], 3);
  source.append(ramp(100), ramp(-100), 2, [0], 3);
  // What had been in the memory that a new slot gets.
  target.append(new Float32Array(80).fill(NaN), new Float32Array(80).fill(NaN), 1, [0], 20);
  target.removeSlot(1);
  source.moveSlot(1, target, 2);
  t.deepEqual([source.numSlots, target.numSlots], [2, 2]);
  const nonZero = (arena: CpuArena, name: string) => {
    const feeds = arena.feeds(1, 1, false);
    t.deepEqual(Object.keys(feeds), ["past_k.1", "past_v.1"]);
    return [...(feeds[name]!.data as Float32Array).filter((value) => value !== 0)];
  };
  // [kvHeads, headDim, positions] and [kvHeads, positions, headDim]
  t.deepEqual(nonZero(target, "past_k.1"), [1, 3, 2, 4, 7, 9, 8, 10]);
  t.deepEqual(nonZero(target, "past_v.1"), [-1, -2, -3, -4, -7, -8, -9, -10]);
  t.deepEqual(nonZero(source, "past_v.1"), [...ramp(-100)]);
});
