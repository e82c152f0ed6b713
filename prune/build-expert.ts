import { createHash } from "node:crypto";
import type { Artifact, ArtifactStore } from "../model/artifact-store.ts";
import type { ModelWeights } from "../model/config.ts";
import { expertArtifact, readExpert } from "../model/expert-artifact.ts";
import { ArtifactError } from "../model/errors.ts";
import { planShapes } from "../model/expert-plan.ts";
import type { ExpertPlan } from "../model/expert-plan.ts";
import { buildMiddle } from "../model/model-stages.ts";
import { prunedWeights } from "../model/pruned-weights.ts";
import type { WeightFormat } from "../model/quantize.ts";
import type { StageModel } from "../model/stage-graph.ts";
import type { Profile } from "./profile.ts";
import type { ProfileSource } from "./profile-source.ts";
import { planExpert, replacementsFor } from "./recipe.ts";
import type { Method, RecipeOptions, StatisticsReader } from "./recipe.ts";

export interface BuildExpertOptions extends RecipeOptions {
  /** Routing label. */
  readonly task: string;
  /** Of the expert's weights. */
  readonly format: WeightFormat;
  readonly numThreads: number;
  /** Called with what happened to stored files. */
  readonly log?: (line: string) => void;
}

export interface BuiltExpert {
  readonly artifact: Artifact;
  /** Null when it was in the store. */
  readonly buildSeconds: number | null;
}

/**
 * The artifact of an expert: from the store where it is, else planned, built and written. Its key names
 * model, corpus and recipe through the profile's. One that is damaged or of another release is built anew.
 * @throws CalibrationError, CorpusError
 */
export async function buildExpert(
  weights: ModelWeights,
  profiles: ProfileSource,
  store: ArtifactStore,
  options: BuildExpertOptions,
): Promise<BuiltExpert> {
  const profile = await profiles.profileOf(options.task);
  const key = expertKey(profile, options);
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
  const plan = planExpert(weights, profile, options.task, options);
  const middle = expertMiddle(weights, profile, plan, options);
  const { metadata, files } = expertArtifact({ plan, middle });
  const artifact = await store.write(key, metadata, files);
  return { artifact, buildSeconds: (performance.now() - startedAt) / 1000 };
}

/** The middle stage of an expert. */
export function expertMiddle(
  weights: ModelWeights,
  statistics: StatisticsReader,
  plan: ExpertPlan,
  { method, format }: { readonly method: Method; readonly format: WeightFormat },
): StageModel {
  const replacements = replacementsFor(weights, statistics, plan, method);
  const pruned = prunedWeights(weights, plan, replacements);
  return buildMiddle(pruned, format, { name: plan.task, shapes: planShapes(plan) });
}

/** Name of the artifact that an expert of this profile has. */
export function expertKey(profile: Profile, options: BuildExpertOptions): string {
  const { task, method, target, accounting = "parameters", channelMultiple = 32, format } = options;
  const recipe = {
    profile: profile.key,
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
