import { createHash } from "node:crypto";
import type { Artifact, ArtifactStore } from "../model/artifact-store.ts";
import type { ModelWeights } from "../model/config.ts";
import { expertArtifact, readExpert } from "../model/expert-artifact.ts";
import { ArtifactError } from "../model/errors.ts";
import { planShapes } from "../model/expert-plan.ts";
import type { ExpertPlan } from "../model/expert-plan.ts";
import { buildMiddleSegments } from "../model/model-stages.ts";
import { prunedWeights } from "../model/pruned-weights.ts";
import type { WeightFormat } from "../model/quantize.ts";
import type { StageModel } from "../model/stage-graph.ts";
import { compensate } from "./compensation.ts";
import type { CompensateOptions } from "./compensation.ts";
import { planExpert, thinModel } from "./plan-expert.ts";
import type { PlanOptions } from "./plan-expert.ts";
import type { ProfileSource } from "./profile-source.ts";
import { calibrationFor, recipes } from "./recipe.ts";
import type { CalibrationData, Method } from "./recipe.ts";

export interface BuildExpertOptions extends PlanOptions {
  /** Of the expert's weights. */
  readonly format: WeightFormat;
  /** Called as steps of the build end. */
  readonly onProgress?: (done: number, total: number) => void;
  /** Called with what happened to stored files. */
  readonly log?: (line: string) => void;
  /** Ends the build after the layer it is at, with its reason. */
  readonly signal?: AbortSignal;
}

export interface BuiltExpert {
  readonly artifact: Artifact;
  /** Without the calibration. Null when it was in the store. */
  readonly buildSeconds: number | null;
}

/** Grows when the same plan and profile give other weights. */
const expertVersion = 2;

/**
 * The artifact of an expert: from the store where it is, else calibrated, planned, built and written. Its key names
 * model, corpus and recipe. One that is damaged or of another release is built anew.
 * @param store of the expert, and of what can be used again for another target
 * @throws CalibrationError, CorpusError, and the signal's reason
 */
export async function buildExpert(
  weights: ModelWeights,
  profiles: ProfileSource,
  store: ArtifactStore,
  options: BuildExpertOptions,
): Promise<BuiltExpert> {
  const { method, task } = options;
  const calibration = await calibrationFor(method, task, profiles);
  const key = keyOf(calibration, options);
  try {
    const present = await store.read(key);
    if (present) {
      readExpert(present);
      return { artifact: present, buildSeconds: null };
    }
  } catch (error) {
    if (!(error instanceof ArtifactError)) throw error;
    options.log?.(`${error.message}: building it again`);
    await store.remove(key);
  }
  const startedAt = performance.now();
  const onProgress = (done: number, total: number) => options.onProgress?.(done, 2 * total);
  const thinning = await thinModel(weights, calibration, recipes[method].choice, store, {
    ...options,
    onProgress,
  });
  const plan = planExpert(weights, thinning, options);
  const segments = await expertSegments(weights, calibration, plan, {
    ...options,
    onProgress: (done, total) => onProgress(total + done, total),
  });
  const { metadata, files } = expertArtifact({ plan, segments });
  const artifact = await store.write(key, metadata, files);
  return { artifact, buildSeconds: (performance.now() - startedAt) / 1000 };
}

/** The middle of an expert. @throws the signal's reason */
export async function expertSegments(
  weights: ModelWeights,
  { statistics }: CalibrationData,
  plan: ExpertPlan,
  options: CompensateOptions & { readonly method: Method; readonly format: WeightFormat },
): Promise<StageModel[]> {
  const { compensation } = recipes[options.method];
  const replacements = await compensate(weights, statistics, plan, compensation, options);
  const pruned = prunedWeights(weights, plan, replacements);
  return buildMiddleSegments(pruned, options.format, { name: plan.task, shapes: planShapes(plan) });
}

/** Name of the artifact that an expert has. Calibrates what is not calibrated yet. */
export async function expertKey(
  profiles: ProfileSource,
  options: BuildExpertOptions,
): Promise<string> {
  return keyOf(await calibrationFor(options.method, options.task, profiles), options);
}

function keyOf(calibration: CalibrationData, options: BuildExpertOptions): string {
  const { task, method, target, accounting = "parameters", channelMultiple = 32, format } = options;
  const recipe = {
    expertVersion,
    calibration: calibration.key,
    task,
    method,
    target,
    accounting,
    channelMultiple,
    format,
  };
  const hash = createHash("sha256").update(JSON.stringify(recipe)).digest("hex");
  return `expert-${hash.slice(0, 32)}`;
}
