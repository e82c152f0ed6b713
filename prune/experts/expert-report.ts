import { z } from "zod";
import type { ArtifactStore } from "../../model/experts/artifact-store.ts";
import type { StoredExpert } from "../../model/experts/expert-artifact.ts";
import { ArtifactError } from "../../model/errors.ts";
import { totalBytes } from "../../model/stages/model-stages.ts";
import type { HeldOutJudge } from "./held-out-judge.ts";

/** Grows when what the numbers mean changes. */
const schemaVersion = 1;

export const estimateSchema = z.strictObject({
  value: z.number(),
  low: z.number(),
  high: z.number(),
});

export const reportSchema = z.strictObject({
  schemaVersion: z.literal(schemaVersion),
  /** Key of the expert's artifact. */
  expert: z.string(),
  /** Content hash of the dense model. */
  model: z.string(),
  task: z.string(),
  recipe: z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()])).readonly(),
  /** True shares of parameters that are gone: of the middle, of all layers, of the model. */
  sparsity: z.strictObject({ middle: z.number(), blocks: z.number(), model: z.number() }),
  /** Tokens a task that were asked for to calibrate with. */
  calibrationTokens: z.int(),
  /** Of the middles, as they lie in memory. */
  bytes: z.strictObject({ dense: z.int(), expert: z.int() }),
  /** Plan and weights; the calibration is not part of it. Null when it is not known any more. */
  buildSeconds: z.number().nullable(),
  heldOut: z.strictObject({
    /** Names the texts. */
    hash: z.string(),
    numSequences: z.int(),
    /** Tokens of answers, or of running text. */
    numTokens: z.int(),
    dense: z.strictObject({ loss: z.number(), perplexity: z.number() }),
    expert: z.strictObject({ loss: z.number(), perplexity: z.number() }),
    /** Of the loss, nats a token, with a 95 % interval over the texts, paired. */
    lossIncrease: estimateSchema,
    /** Nats a token from dense to expert. */
    kl: estimateSchema,
    /** Share of tokens whose most likely one is dense's. */
    topAgreement: estimateSchema,
  }),
});

/** What an expert's build has to show for itself. */
export type ExpertReport = Readonly<z.infer<typeof reportSchema>>;

/** An expert, in the store or not yet. */
export interface JudgedExpert extends StoredExpert {
  /** Key of the artifact. */
  readonly key: string;
}

/** Key of the report on an expert, which lies beside it. */
export function reportKey(expertKey: string): string {
  return expertKey.replace(/^expert-/, "report-");
}

/** The report of an expert, or null where there is none that can be read. */
export async function readReport(
  store: ArtifactStore,
  expertKey: string,
): Promise<ExpertReport | null> {
  try {
    const artifact = await store.read(reportKey(expertKey));
    return reportSchema.safeParse(artifact?.metadata).data ?? null;
  } catch (error) {
    if (!(error instanceof ArtifactError)) throw error;
    return null;
  }
}

/** The report of an expert by these held-out texts, or null where there is none. */
export async function knownReport(
  store: ArtifactStore,
  expertKey: string,
  judge: Pick<HeldOutJudge, "hash">,
): Promise<ExpertReport | null> {
  const report = await readReport(store, expertKey);
  return report?.heldOut.hash === judge.hash ? report : null;
}

/**
 * Judges an expert and stores the report.
 * @throws CalibrationError, and the judge's signal's reason
 */
export async function reportOn(
  store: ArtifactStore,
  { key: expertKey, plan, segments }: JudgedExpert,
  judge: HeldOutJudge,
  build: { readonly calibrationTokens: number; readonly buildSeconds: number | null },
): Promise<ExpertReport> {
  const present = await readReport(store, expertKey);
  const quality = await judge.judge(segments);
  const { denseBytes, denseLoss, loss, lossIncrease, kl, topAgreement } = quality;
  const report: ExpertReport = {
    schemaVersion,
    expert: expertKey,
    model: plan.modelHash,
    task: plan.task,
    recipe: plan.recipe,
    sparsity: plan.sparsity,
    calibrationTokens: build.calibrationTokens,
    bytes: { dense: denseBytes, expert: totalBytes(segments) },
    buildSeconds: build.buildSeconds ?? present?.buildSeconds ?? null,
    heldOut: {
      hash: judge.hash,
      numSequences: judge.numSequences,
      numTokens: judge.numTokens,
      dense: { loss: denseLoss, perplexity: Math.exp(denseLoss) },
      expert: { loss, perplexity: Math.exp(loss) },
      lossIncrease,
      kl,
      topAgreement,
    },
  };
  const key = reportKey(expertKey);
  await store.remove(key);
  await store.write(key, report, []);
  return report;
}
