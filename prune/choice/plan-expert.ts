import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import type { ArtifactStore } from "../../model/experts/artifact-store.ts";
import type { ModelWeights } from "../../model/weights/config.ts";
import { ArtifactError } from "../../model/errors.ts";
import { createExpertPlan } from "../../model/experts/expert-plan.ts";
import type { ExpertPlan } from "../../model/experts/expert-plan.ts";
import { stageBorders } from "../../model/stages/model-stages.ts";
import { allocateGlobal, allocateLogistic, allocateUniform } from "./allocation.ts";
import type { AllocationProblem, LayerWidths } from "./allocation.ts";
import { maskLayer } from "./masks.ts";
import { recipes } from "./recipe.ts";
import type { CalibrationData, Method, Recipe } from "./recipe.ts";
import { allocateBySensitivity } from "./sensitivity.ts";
import { thinLayer } from "./thinning.ts";
import type { LayerThinning } from "./thinning.ts";

export interface PlanOptions {
  /** Routing label. */
  readonly task: string;
  readonly method: Method;
  /** Share of the middle's parameters to be removed, 0 to 1. */
  readonly target: number;
}

/** What every plan is made by, and says: channels of a pruned MLP are a multiple of 32, which the kernels like. */
export const planRules = { accounting: "parameters", channelMultiple: 32 } as const;

/** How the layers of the middle can be thinned; the same for every target. */
export interface ModelThinning {
  readonly layers: readonly LayerThinning[];
}

export interface ThinOptions {
  /** Called after each layer. */
  readonly onProgress?: (done: number, total: number) => void;
  readonly log?: (line: string) => void;
  /** Ends the run after the layer it is at, with its reason. */
  readonly signal?: AbortSignal;
}

/** Grows when the same input gives another thinning. */
export const thinningVersion = 2;
const fileName = "layers.json";

/**
 * How the middle can be thinned, from the store where somebody has found out before.
 * @throws CalibrationError, and the signal's reason
 */
export async function thinModel(
  weights: ModelWeights,
  calibration: CalibrationData,
  choice: Recipe["choice"],
  store: ArtifactStore,
  { onProgress, log, signal }: ThinOptions = {},
): Promise<ModelThinning> {
  // Scores take no longer than reading them would.
  const key = choice === "surgeon" ? thinningKey(calibration) : null;
  if (key !== null) {
    const stored = await readThinning(store, key, log);
    if (stored !== null) return stored;
  }
  const { middle, head } = stageBorders(weights.config);
  const layers: LayerThinning[] = [];
  for (let layer = middle; layer < head; layer++) {
    signal?.throwIfAborted();
    layers.push(await thinLayer(weights, layer, calibration, choice));
    onProgress?.(layers.length, head - middle);
  }
  if (key !== null) {
    const content = Buffer.from(JSON.stringify(layers));
    await store.write(key, { version: thinningVersion }, [[fileName, [content]]]);
  }
  return { layers };
}

function thinningKey({ key }: CalibrationData): string {
  const hash = createHash("sha256").update(`${thinningVersion} ${key}`).digest("hex");
  return `thinning-${hash.slice(0, 32)}`;
}

async function readThinning(
  store: ArtifactStore,
  key: string,
  log?: (line: string) => void,
): Promise<ModelThinning | null> {
  try {
    const artifact = await store.read(key);
    if (artifact === null) return null;
    // What the store has checked is what this version wrote.
    const text = readFileSync(artifact.path(fileName), "utf8");
    return { layers: JSON.parse(text) as LayerThinning[] };
  } catch (error) {
    if (!(error instanceof ArtifactError)) throw error;
    log?.(`${error.message}: finding it out again`);
    await store.remove(key);
    return null;
  }
}

/** Which heads and channels an expert keeps. */
export function planExpert(
  weights: ModelWeights,
  { layers }: ModelThinning,
  options: PlanOptions,
): ExpertPlan {
  const { config } = weights;
  const { task, method, target } = options;
  const problem = {
    config,
    attention: layers.map(({ attention }) => attention),
    target,
    channelMultiple: planRules.channelMultiple,
  };
  const widths = allocate(problem, layers, recipes[method].allocation);
  return createExpertPlan(weights, {
    task,
    recipe: { method, target, ...planRules },
    layers: widths.map((width, i) =>
      maskLayer(width, config.intermediateSize, layers[i]!.removalOrder),
    ),
  });
}

function allocate(
  problem: AllocationProblem,
  layers: readonly LayerThinning[],
  allocation: Recipe["allocation"],
): LayerWidths[] {
  switch (allocation) {
    case "uniform":
      return allocateUniform(problem);
    case "logistic":
      return allocateLogistic(problem);
    case "global":
      return allocateGlobal(
        problem,
        layers.map(({ scores }) => scores!),
      );
    case "error":
      return allocateBySensitivity(
        problem,
        layers.map(({ sensitivity }) => sensitivity!),
      );
  }
}
