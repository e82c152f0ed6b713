import { createHash } from "node:crypto";
import { z } from "zod";
import type { ArtifactStore } from "../../model/experts/artifact-store.ts";
import { ArtifactError } from "../../model/errors.ts";
import { formatIdentity } from "../../model/weights/quantize.ts";
import type { WeightFormat } from "../../model/weights/quantize.ts";
import { answersVersion } from "../tasks/calibration-text.ts";
import { estimateSchema, reportSchema } from "./expert-report.ts";
import { expertVersion } from "./expert-maker.ts";
import { thinningVersion } from "../choice/plan-expert.ts";
import { profileSchemaVersion } from "../calibration/profile.ts";
import { generalShare, recipes } from "../choice/recipe.ts";
import type { Method } from "../choice/recipe.ts";

/** Grows when the same request leads to something else for a reason that no other version shows. */
const outcomeVersion = 1;

/** All that decides what comes out of a build, known before it begins. */
export interface BuildRequest {
  readonly task: string;
  readonly method: Method;
  readonly format: WeightFormat;
  /** What may go: a share of the middle, or what raises held-out perplexity by no more than a share. */
  readonly budget: { readonly sparsity: number } | { readonly maxLossIncrease: number };
  /** Content hash of the model. */
  readonly model: string;
  /** Hash of the corpora. */
  readonly corpora: string;
  /** How text is made of them: tokens, limits, the share held out. */
  readonly texts: Readonly<Record<string, number>>;
}

const outcomeSchema = z.strictObject({
  outcomeVersion: z.literal(outcomeVersion),
  /** Null when no sparsity is within the budget: the dense model stays. */
  report: reportSchema.nullable(),
  /** Null without a budget. */
  trials: z
    .array(
      z.strictObject({
        sparsity: z.number(),
        lossIncrease: estimateSchema,
        isWithin: z.boolean(),
      }),
    )
    .nullable(),
});

/** What a build led to. */
export type BuildOutcome = Readonly<Omit<z.infer<typeof outcomeSchema>, "outcomeVersion">>;

/** Name of the artifact that remembers what a build led to. */
export function outcomeKey(request: BuildRequest): string {
  const content = {
    ...request,
    format: formatIdentity(request.format),
    recipe: { ...recipes[request.method], generalShare },
    versions: [
      outcomeVersion,
      expertVersion,
      thinningVersion,
      profileSchemaVersion,
      answersVersion,
    ],
  };
  const hash = createHash("sha256").update(JSON.stringify(content)).digest("hex");
  return `outcome-${hash.slice(0, 32)}`;
}

/** What was remembered, or null. The expert's artifact may be gone meanwhile, or damaged. */
export async function readOutcome(store: ArtifactStore, key: string): Promise<BuildOutcome | null> {
  try {
    const artifact = await store.read(key);
    const { data } = outcomeSchema.safeParse(artifact?.metadata);
    return data === undefined ? null : { report: data.report, trials: data.trials };
  } catch (error) {
    if (!(error instanceof ArtifactError)) throw error;
    return null;
  }
}

/** @throws ModelLoadError when the disk refuses. */
export async function writeOutcome(
  store: ArtifactStore,
  key: string,
  { report, trials }: BuildOutcome,
): Promise<void> {
  await store.remove(key);
  await store.write(key, { outcomeVersion, report, trials }, []);
}
