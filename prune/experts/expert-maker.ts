import { createHash } from "node:crypto";
import type { ArtifactStore } from "../../model/experts/artifact-store.ts";
import type { ModelWeights } from "../../model/weights/config.ts";
import type { StoredExpert } from "../../model/experts/expert-artifact.ts";
import { planShapes } from "../../model/experts/expert-plan.ts";
import type { ExpertPlan } from "../../model/experts/expert-plan.ts";
import { buildMiddleSegments } from "../../model/stages/model-stages.ts";
import { prunedWeights } from "../../model/experts/pruned-weights.ts";
import { formatIdentity } from "../../model/weights/quantize.ts";
import type { WeightFormat } from "../../model/weights/quantize.ts";
import type { StageModel } from "../../model/stages/stage-spec.ts";
import { compensate } from "../compensation/compensation.ts";
import type { CompensateOptions } from "../compensation/compensation.ts";
import { planExpert, planRules, thinModel, thinningVersion } from "../choice/plan-expert.ts";
import type { ModelThinning, PlanOptions } from "../choice/plan-expert.ts";
import type { ProfileSource } from "../calibration/profile-source.ts";
import { calibrationFor, recipes } from "../choice/recipe.ts";
import type { CalibrationData, Method } from "../choice/recipe.ts";

export interface MakerOptions extends Omit<PlanOptions, "target"> {
  /** Of the expert's weights. */
  readonly format: WeightFormat;
  /** Called with what happened to stored files. */
  readonly log?: (line: string) => void;
  /** Ends the work after the layer it is at, with its reason. */
  readonly signal?: AbortSignal;
}

type OnProgress = (done: number, total: number) => void;

/** An expert in memory. */
export interface MadeExpert extends StoredExpert {
  /** Without the calibration; with the thinning where it was not in the store. */
  readonly buildSeconds: number;
}

/** Grows when the same plan and profile give other weights. How they are stored and run has no part in it. */
export const expertVersion = 2;

/** Makes the experts of a task at any sparsity: what does not depend on it is done once. */
export class ExpertMaker {
  readonly #weights: ModelWeights;
  readonly #calibration: CalibrationData;
  readonly #store: ArtifactStore;
  readonly #options: MakerOptions;
  #thinning: ModelThinning | null = null;
  #thinSeconds = 0;

  private constructor(
    weights: ModelWeights,
    calibration: CalibrationData,
    store: ArtifactStore,
    options: MakerOptions,
  ) {
    this.#weights = weights;
    this.#calibration = calibration;
    this.#store = store;
    this.#options = options;
  }

  /**
   * Calibrates where that was not done before.
   * @param weights must stay open
   * @throws CalibrationError, CorpusError, and the signal's reason
   */
  static async open(
    weights: ModelWeights,
    profiles: ProfileSource,
    store: ArtifactStore,
    options: MakerOptions,
  ): Promise<ExpertMaker> {
    const calibration = await calibrationFor(options.method, options.task, profiles);
    return new ExpertMaker(weights, calibration, store, options);
  }

  /** Name of the artifact that the expert has, by model, corpus and recipe. */
  keyOf(target: number): string {
    const { task, method, format } = this.#options;
    const recipe = {
      expertVersion,
      ...(recipes[method].choice === "surgeon" && { thinningVersion }),
      calibration: this.#calibration.key,
      task,
      method,
      target,
      ...planRules,
      format: formatIdentity(format),
    };
    const hash = createHash("sha256").update(JSON.stringify(recipe)).digest("hex");
    return `expert-${hash.slice(0, 32)}`;
  }

  /** Finds out in which order heads and channels can go; at the latest, `make` does. May be called twice. */
  async thin(onProgress?: OnProgress): Promise<ModelThinning> {
    if (this.#thinning !== null) return this.#thinning;
    const startedAt = performance.now();
    const { choice } = recipes[this.#options.method];
    this.#thinning = await thinModel(this.#weights, this.#calibration, choice, this.#store, {
      ...this.#options,
      ...(onProgress && { onProgress }),
    });
    this.#thinSeconds = (performance.now() - startedAt) / 1000;
    return this.#thinning;
  }

  /**
   * @param target share of the middle's parameters to be removed, 0 to 1
   * @throws CalibrationError, and the signal's reason
   */
  async make(target: number, onProgress?: OnProgress): Promise<MadeExpert> {
    const thinning = await this.thin();
    const startedAt = performance.now();
    const plan = planExpert(this.#weights, thinning, { ...this.#options, target });
    const segments = await expertSegments(this.#weights, this.#calibration, plan, {
      ...this.#options,
      ...(onProgress && { onProgress }),
    });
    const seconds = (performance.now() - startedAt) / 1000;
    return { plan, segments, buildSeconds: this.#thinSeconds + seconds };
  }
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
  return buildMiddleSegments(pruned, options.format, {
    name: plan.task,
    shapes: planShapes(plan),
  });
}
