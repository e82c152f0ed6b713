import type { ModelWeights } from "../../model/weights/config.ts";
import { stageBorders } from "../../model/stages/model-stages.ts";
import { choicesByScore } from "./attention-choices.ts";
import type { AttentionChoice } from "./attention-choices.ts";
import { CalibrationError } from "../errors.ts";
import { choicesByObs, orderChannels } from "./obs.ts";
import type { CalibrationData, Recipe } from "./recipe.ts";
import { flapGlobalScores, flapScores, headScores, orderByScore } from "./scores.ts";
import { squaredColumnNorms, wandaScores, weightedScores } from "./scores.ts";
import type { ComparableScores } from "./scores.ts";
import type { LayerSensitivity } from "./sensitivity.ts";
import type { ModuleStatistics } from "../calibration/statistics.ts";

/** How one layer can be thinned, whatever the target: by heads, and by channels in an order. */
export interface LayerThinning {
  readonly attention: readonly AttentionChoice[];
  /** All channels, those that go first in front. */
  readonly removalOrder: readonly number[];
  /** For a threshold over all layers; by score only. */
  readonly scores: ComparableScores | null;
  /** What the modules' outputs lose; by the surgeon only. */
  readonly sensitivity: LayerSensitivity | null;
}

/**
 * How much more an error counts in the last layer of the middle than in the first, as a logarithm. Layers after an
 * early one make up for a part of what it gets wrong. Measured: docs/decisions/0008-recipe.md.
 */
const depthTilt = 0.5;

/**
 * @param layer of the middle
 * @throws CalibrationError when the surgeon has no Gram matrices that can be used.
 */
export async function thinLayer(
  weights: ModelWeights,
  layer: number,
  calibration: CalibrationData,
  choice: Recipe["choice"],
): Promise<LayerThinning> {
  return choice === "surgeon"
    ? thinBySurgeon(weights, layer, calibration)
    : thinByScore(weights, layer, calibration, choice);
}

function thinByScore(
  weights: ModelWeights,
  layer: number,
  { scored }: CalibrationData,
  choice: "norm" | "variance",
): LayerThinning {
  const { config } = weights;
  const score = choice === "norm" ? wandaScores : flapScores;
  const read = scored.map((reader) => reader.readLayer(layer));
  const scoresOf = (role: "output" | "down", modules: readonly ModuleStatistics[]) => {
    const norms = squaredColumnNorms(weights.readLayerTensor(layer, role), modules[0]!.size);
    const weight = 1 / modules.length;
    return weightedScores(modules.map((module) => ({ scores: score(module, norms), weight })));
  };
  const columns = scoresOf(
    "output",
    read.map(({ attention }) => attention),
  );
  const channels = scoresOf(
    "down",
    read.map(({ mlp }) => mlp),
  );
  return {
    attention: choicesByScore(headScores(columns, config.headDim), config),
    removalOrder: orderByScore(channels),
    scores: flapGlobalScores(columns, channels, config.headDim),
    sensitivity: null,
  };
}

async function thinBySurgeon(
  weights: ModelWeights,
  layer: number,
  { statistics }: CalibrationData,
): Promise<LayerThinning> {
  const { config } = weights;
  const { attention, mlp } = statistics.readLayer(layer);
  const output = weights.readLayerTensor(layer, "output");
  const down = weights.readLayerTensor(layer, "down");
  const choices = attention.comoment && (await choicesByObs(output, attention.comoment, config));
  const removal = mlp.comoment && (await orderChannels(down, mlp.comoment));
  if (!choices || !removal) {
    throw new CalibrationError(
      `Layer ${layer}: expected Gram matrices that are positive definite; ` +
        "calibrate with them and with more text.",
    );
  }
  const { middle, head } = stageBorders(config);
  const depth = (layer - middle) / Math.max(1, head - 1 - middle);
  // Errors are per unit of token weight, which is 1 / mean square of the residual stream: times the mean weight
  // they are relative to the stream, and all layers' on one scale.
  const scaleOf = ({ comoment, count }: ModuleStatistics) =>
    (Math.exp(depthTilt * depth) * comoment!.weight) / count;
  const [attentionScale, mlpScale] = [scaleOf(attention), scaleOf(mlp)];
  const all = choices[0]!.parameters;
  return {
    attention: choices,
    removalOrder: removal.order,
    scores: null,
    sensitivity: {
      attention: choices.slice(1).map(({ parameters, loss }) => ({
        share: 1 - parameters / all,
        loss: loss * attentionScale,
      })),
      mlp: Array.from(removal.errors.subarray(1), (error, i) => ({
        share: (i + 1) / config.intermediateSize,
        loss: error * mlpScale,
      })),
    },
  };
}
