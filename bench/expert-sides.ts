import { ModelRunner } from "../engine/run/model-runner.ts";
import { openDevice } from "../engine/device/open-device.ts";
import type { ModelConfig, ModelWeights } from "../model/weights/config.ts";
import { createExpertPlan, planShapes } from "../model/experts/expert-plan.ts";
import type { ExpertPlan } from "../model/experts/expert-plan.ts";
import {
  buildHead,
  buildMiddle,
  buildTrunk,
  stageBorders,
  totalBytes,
} from "../model/stages/model-stages.ts";
import { openModel } from "../model/weights/open-model.ts";
import { prunedWeights } from "../model/experts/pruned-weights.ts";
import type { WeightFormat } from "../model/weights/quantize.ts";
import { resolveModel } from "../model/source/source.ts";
import { buildStage } from "../model/stages/build-stage.ts";
import { allocateLogistic } from "../prune/choice/allocation.ts";
import { choicesByScore } from "../prune/choice/attention-choices.ts";
import { maskLayer } from "../prune/choice/masks.ts";
import { EngineSide } from "./engine-side.ts";
import type { DecodeRun } from "./llama-peer.ts";
import { RandomWeights } from "./random-weights.ts";
import { StageSide } from "./stage-side.ts";

/** A model at one sparsity. */
export interface ExpertSide {
  /** True sparsity of the parameters that can be pruned. */
  readonly sparsity: number;
  readonly sizeBytes: number;
  /** @returns seconds */
  prefill(numTokens: number): Promise<number>;
  /** @returns seconds of all steps together */
  decode(run: DecodeRun): Promise<number>;
  close(): Promise<void>;
}

export interface SideOptions {
  readonly format: WeightFormat;
  readonly numThreads: number;
}

/** The whole model with a pruned middle; which channels go does not matter to its speed. */
export async function defaultModelSide(
  model: string,
  target: number,
  { format, numThreads }: SideOptions,
): Promise<ExpertSide> {
  const { path } = await resolveModel(model);
  const { weights } = await openModel(path);
  const plan = shapePlan(weights, target);
  const pruned = prunedWeights(weights, plan);
  const device = await openDevice({ numThreads, config: weights.config });
  const middle = buildMiddle(pruned, format, { name: plan.task, shapes: planShapes(plan) });
  const stages = {
    trunk: await device.loadStage(buildTrunk(weights, format)),
    middle: [await device.loadStage(middle)],
    head: await device.loadStage(buildHead(weights, format)),
  };
  weights.close();
  const runner = new ModelRunner({ device, stages });
  const side = new EngineSide(runner);
  return {
    sparsity: plan.sparsity.middle,
    sizeBytes: totalBytes([middle]),
    prefill: (numTokens) => side.prefill(numTokens),
    decode: (run) => side.decode(run),
    close: () => side.close(),
  };
}

/** Pruned layers alone, of random weights. */
export async function llamaShapedSide(
  config: ModelConfig,
  target: number,
  { format, numThreads }: SideOptions,
): Promise<ExpertSide> {
  // Two protected layers at each end that are not run, so that all that are can be pruned.
  const layers = [...config.layers, ...Array.from({ length: 4 }, () => config.layers[0]!)];
  const weights = new RandomWeights({ ...config, layers, numLayers: layers.length });
  const plan = shapePlan(weights, target);
  const { middle, head } = stageBorders(weights.config);
  const stage = buildStage(prunedWeights(weights, plan), {
    name: "layers",
    firstLayer: middle,
    numLayers: head - middle,
    shapes: planShapes(plan),
    hasEmbedding: true,
    hasHead: false,
    format,
  });
  const { sparsity } = plan;
  const side = await StageSide.load(stage, config, numThreads);
  return Object.assign(side, { sparsity: sparsity.middle, sizeBytes: totalBytes([stage]) });
}

/** A plan at some sparsity; which channels go does not matter to the speed. */
export function shapePlan(weights: ModelWeights, target: number): ExpertPlan {
  const { config } = weights;
  const { middle, head } = stageBorders(config);
  const scores = Float64Array.from({ length: config.numHeads }, (_, i) => 1 + i);
  const attention = Array.from({ length: head - middle }, () => choicesByScore(scores, config));
  const problem = { config, attention, target, channelMultiple: 32 };
  const order = Array.from({ length: config.intermediateSize }, (_, i) => i);
  const layers = allocateLogistic(problem).map((width) =>
    maskLayer(width, config.intermediateSize, order),
  );
  return createExpertPlan(weights, { task: "speed", recipe: { target }, layers });
}
