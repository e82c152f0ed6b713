import { denseExpert } from "../engine/contract/experts.ts";
import { builtStages } from "../model/prepared/stage-source.ts";
import type { BuiltExpert } from "../engine/contract/experts.ts";
import { loadStages } from "../engine/run/load-stages.ts";
import { ModelRunner } from "../engine/run/model-runner.ts";
import { openDevice } from "../engine/device/open-device.ts";
import { ArtifactStore } from "../model/experts/artifact-store.ts";
import { expertArtifact, readExpert } from "../model/experts/expert-artifact.ts";
import { planShapes } from "../model/experts/expert-plan.ts";
import { buildMiddleSegments, totalBytes } from "../model/stages/model-stages.ts";
import { openModel } from "../model/weights/open-model.ts";
import { prunedWeights } from "../model/experts/pruned-weights.ts";
import type { WeightFormat } from "../model/weights/quantize.ts";
import { EngineSide } from "./engine-side.ts";
import { shapePlan } from "./expert-sides.ts";

export interface SpeedModel {
  readonly modelPath: string;
  readonly weights: WeightFormat;
  readonly threads: number;
}

/**
 * Writes an expert that was not calibrated: it answers nonsense as fast as a good one. All tasks share its
 * artifact, of which each makes sessions of its own.
 */
export async function writeSpeedExpert(
  { modelPath, weights: format }: SpeedModel,
  target: number,
  storeDir: string,
): Promise<BuiltExpert> {
  const { weights } = await openModel(modelPath);
  try {
    const plan = shapePlan(weights, target);
    const segments = buildMiddleSegments(prunedWeights(weights, plan), format, {
      name: plan.task,
      shapes: planShapes(plan),
    });
    const { metadata, files } = expertArtifact({ plan, segments });
    const { key } = await new ArtifactStore(storeDir).write("expert-speed", metadata, files);
    const { middle: sparsity } = plan.sparsity;
    const sizeBytes = totalBytes(segments);
    return { key, storeDir, sizeBytes, sparsity, lossIncrease: null, buildSeconds: null };
  } finally {
    weights.close();
  }
}

export function expertName(index: number): string {
  return `expert-${index}`;
}

/** The bare engine with some experts in memory, named by {@link expertName}. */
export async function engineWithExperts(
  { modelPath, weights: format, threads: numThreads }: SpeedModel,
  { storeDir, key }: BuiltExpert,
  numExperts: number,
): Promise<EngineSide> {
  const { weights } = await openModel(modelPath);
  const device = await openDevice({ numThreads, config: weights.config });
  const stages = await loadStages(device, builtStages(weights, format, denseExpert));
  weights.close();
  const runner = new ModelRunner({ device, stages });
  const artifact = await new ArtifactStore(storeDir).read(key);
  const { segments } = readExpert(artifact!);
  for (let index = 0; index < numExperts; index++) {
    const middle = [];
    for (const segment of segments) middle.push(await device.loadStage(segment));
    runner.addMiddle(expertName(index), middle);
  }
  return new EngineSide(runner);
}
