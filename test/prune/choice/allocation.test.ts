import test from "ava";
import fc from "fast-check";
import type { ModelConfig } from "../../../model/weights/config.ts";
import { stageBorders } from "../../../model/stages/model-stages.ts";
import {
  allocateGlobal,
  allocateLogistic,
  allocateUniform,
  logisticShape,
  keptParameters,
  layerParameters,
} from "../../../prune/choice/allocation.ts";
import type { AllocationProblem, LayerWidths } from "../../../prune/choice/allocation.ts";
import { choicesByScore } from "../../../prune/choice/attention-choices.ts";
import { allocateBySensitivity } from "../../../prune/choice/sensitivity.ts";
import type { LossCurve } from "../../../prune/choice/sensitivity.ts";
import { seededRandom } from "../../helpers/random-problem.ts";
import { tinyModel } from "../../helpers/tiny-model.ts";
import type { TinyModelOptions } from "../../helpers/tiny-model.ts";

const smol: TinyModelOptions = {
  numLayers: 30,
  hiddenSize: 576,
  numHeads: 9,
  numKvHeads: 3,
  headDim: 64,
  intermediateSize: 1536,
};

/** Ten layers, six of them prunable, eight heads with a KV head each, 40 channels. */
const paperLike: TinyModelOptions = {
  numLayers: 10,
  hiddenSize: 64,
  numHeads: 8,
  numKvHeads: 8,
  headDim: 8,
  intermediateSize: 40,
};

function randomScores(config: ModelConfig, seed: number) {
  const random = seededRandom(seed);
  const { middle, head } = stageBorders(config);
  return Array.from({ length: head - middle }, () => ({
    heads: Float64Array.from({ length: config.numHeads }, () => random()),
    channels: Float64Array.from({ length: config.intermediateSize }, () => random()),
  }));
}

function problemOf(options: TinyModelOptions, target: number, channelMultiple: number, seed = 1) {
  const { config } = tinyModel(options);
  const scores = randomScores(config, seed);
  const attention = scores.map(({ heads }) => choicesByScore(heads, config));
  return { problem: { config, attention, target, channelMultiple }, scores };
}

function sparsity({ config }: AllocationProblem, layers: readonly LayerWidths[]): number {
  return 1 - keptParameters(config, layers) / (layers.length * layerParameters(config));
}

const widths = (layers: readonly LayerWidths[]) =>
  layers.map(({ attention, numChannels }) => [attention.keptHeads.length, numChannels]);

test("rho_l / Λ = 1 / (1 + exp(−k (x_l − x0)))", (t) => {
  const { problem } = problemOf(paperLike, 0.3, 1);
  const shape = [2, 3, 4, 5, 6, 7].map((l) => 1 / (1 + Math.exp(-(l / 9 - 0.3))));
  t.deepEqual(logisticShape(problem.config, { steepness: 1, midpoint: 0.3 }), shape);
});

test("the logistic curve's slope and middle can be chosen", (t) => {
  const { problem } = problemOf(paperLike, 0.5, 1);
  const steep = allocateLogistic(problem, { steepness: 1000, midpoint: 0.5 });
  // Layers 2 to 4 of 10 lie before the middle, 5 to 7 behind it.
  for (const [i, [heads, channels]] of widths(steep).entries()) {
    t.deepEqual([heads, channels], i < 3 ? [8, 40] : [0, 0]);
  }
});

test("uniform sparsity removes the same number of heads and about as many channels everywhere", (t) => {
  for (const [target, numHeads] of [
    [0.3, 6],
    [0.5, 4],
  ] as const) {
    const { problem } = problemOf(paperLike, target, 1);
    const layers = allocateUniform(problem);
    t.deepEqual(
      layers.map(({ attention }) => attention.keptHeads.length),
      Array.from({ length: 6 }, () => numHeads),
    );
    const counts = layers.map(({ numChannels }) => numChannels);
    t.true(Math.max(...counts) - Math.min(...counts) <= 1);
    t.true(Math.abs(sparsity(problem, layers) - target) < 0.01);
  }
});

test("FLAP AL-AM removes heads and channels at or below one threshold, a head counting 4 head_dim / 3 channels", (t) => {
  const { problem } = problemOf(
    { ...paperLike, numLayers: 6, numHeads: 2, numKvHeads: 2, headDim: 6, intermediateSize: 4 },
    0.5,
    1,
  );
  // A head is worth 8 channels; a layer 2 * 8 + 4 = 20, both together 40, of which 20 go.
  const scores = [
    { heads: Float64Array.of(-2, 3), channels: Float64Array.of(-3, -1, 0.5, 2) },
    { heads: Float64Array.of(0.2, 1), channels: Float64Array.of(-2.5, 0, 0.3, 4) },
  ];
  const attention = scores.map(({ heads }) =>
    choicesByScore(
      heads.map((x) => x + 3),
      problem.config,
    ),
  );
  // In order: -3 (1), -2.5 (2), head -2 (10), -1 (11), 0 (12), head 0.2 (20): the threshold is 0.2.
  const layers = allocateGlobal({ ...problem, attention }, scores);
  t.deepEqual(
    layers.map(({ attention: { keptHeads }, numChannels }) => [keptHeads, numChannels]),
    [
      [[1], 2],
      [[1], 2],
    ],
  );
});

/** Up to the whole module. @param loss of half of it */
function powerCurve(loss: number, exponent = 2): LossCurve {
  return Array.from({ length: 64 }, (_, i) => {
    const share = (i + 1) / 64;
    return { share, loss: loss * (share / 0.5) ** exponent };
  });
}

test("sensitivity allocation takes what loses least per parameter first", (t) => {
  const { problem } = problemOf({ ...paperLike, numLayers: 6 }, 0.25, 4);
  const cheap = powerCurve(1e-6);
  const dear = powerCurve(1);
  const layers = allocateBySensitivity(problem, [
    { attention: dear, mlp: cheap },
    { attention: dear, mlp: dear },
  ]);
  // A layer has 128 + 60 of 64 parameters; half a layer is 94, of which the cheap MLP gives all its 60.
  t.is(layers[0]!.numChannels, 0);
  t.true(Math.abs(sparsity(problem, layers) - 0.25) <= (2 * 3 * 64) / (2 * 188 * 64) + 1e-9);
});

test("a module whose removal costs little goes as a whole", (t) => {
  const { problem } = problemOf({ ...paperLike, numLayers: 6 }, 0.35, 4);
  const line = powerCurve(1, 1);
  const useless = [
    { share: 0.5, loss: 0.9 },
    { share: 1, loss: 0.01 },
  ];
  const layers = allocateBySensitivity(problem, [
    { attention: useless, mlp: line },
    { attention: line, mlp: line },
  ]);
  t.is(layers[0]!.attention.keptHeads.length, 0);
});

test("a module is not pruned beyond the last point of its curve", (t) => {
  const { problem } = problemOf({ ...paperLike, numLayers: 6 }, 0.9, 4);
  const halfMeasured = [{ share: 0.5, loss: 1 }];
  const layers = allocateBySensitivity(problem, [
    { attention: halfMeasured, mlp: halfMeasured },
    { attention: halfMeasured, mlp: halfMeasured },
  ]);
  t.deepEqual(widths(layers), [
    [4, 20],
    [4, 20],
  ]);
});

/** All allocations of a problem to its true target. */
function allocations(problem: AllocationProblem, scores: ReturnType<typeof randomScores>) {
  const random = seededRandom(99);
  const sensitivities = scores.map(() => ({
    attention: powerCurve(random()),
    mlp: powerCurve(random()),
  }));
  return {
    logistic: allocateLogistic(problem),
    uniform: allocateUniform(problem),
    global: allocateGlobal(problem, scores),
    sensitivity: allocateBySensitivity(problem, sensitivities),
  };
}

test("every allocation meets the target of true parameter sparsity within 1 %", (t) => {
  const shapes: readonly TinyModelOptions[] = [
    smol,
    { ...smol, numHeads: 8, numKvHeads: 8 },
    { ...smol, numHeads: 8, numKvHeads: 1, intermediateSize: 1500 },
    {
      ...smol,
      numLayers: 16,
      hiddenSize: 1024,
      numHeads: 16,
      numKvHeads: 4,
      intermediateSize: 2816,
    },
  ];
  fc.assert(
    fc.property(
      fc.constantFrom(...shapes),
      fc.double({ min: 0.05, max: 0.8, noNaN: true }),
      fc.constantFrom(1, 32, 64),
      fc.integer({ min: 1, max: 1000 }),
      (options, target, multiple, seed) => {
        const { problem, scores } = problemOf(options, target, multiple, seed);
        for (const [name, layers] of Object.entries(allocations(problem, scores))) {
          const reached = sparsity(problem, layers);
          // Half of one step of channels is the least that can be off.
          const step =
            ((multiple * 3) / (layers.length * layerParameters(problem.config))) *
            problem.config.hiddenSize;
          t.true(
            Math.abs(reached - target) <= Math.max(0.01 * target, step / 2),
            `${name} ${target} ${reached}`,
          );
          for (const { numChannels } of layers) {
            t.true(numChannels === options.intermediateSize || numChannels % multiple === 0);
          }
        }
      },
    ),
    { numRuns: 10 },
  );
});

test("a target of 0 keeps everything", (t) => {
  const { problem, scores } = problemOf(smol, 0, 32);
  const all = [
    ...Object.values(allocations(problem, scores)),
    allocateLogistic(problem),
    allocateUniform(problem),
    allocateGlobal(problem, scores),
  ];
  for (const layers of all) {
    t.true(
      layers.every(
        ({ attention, numChannels }) => attention.keptHeads.length === 9 && numChannels === 1536,
      ),
    );
  }
});
