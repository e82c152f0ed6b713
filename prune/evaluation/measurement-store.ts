import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { z } from "zod";
import type { ArtifactStore } from "../../model/experts/artifact-store.ts";
import { ArtifactError, ModelLoadError } from "../../model/errors.ts";
import { parseExpertPlan, serializeExpertPlan } from "../../model/experts/expert-plan.ts";
import type { ExpertPlan } from "../../model/experts/expert-plan.ts";
import { describeIssues } from "../../model/files/json-file.ts";
import type { MathOutcomes } from "./math-answers.ts";
import type { ChoiceOutcomes } from "./multiple-choice.ts";
import type { TextOutcomes } from "../scoring/text-quality.ts";

/** By row, so that models can be compared on the same rows. */
export type Outcomes = ChoiceOutcomes | TextOutcomes | MathOutcomes;

/** What is to be said of the middle that was measured. */
export interface MeasuredMiddle {
  /** Null for dense. */
  readonly plan: ExpertPlan | null;
  /** Of its weights. */
  readonly sizeBytes: number;
  /** Null for dense, and where it had been built before. */
  readonly buildSeconds: number | null;
}

/** One middle on one task. */
export interface Measurement {
  readonly middle: MeasuredMiddle;
  readonly outcomes: Outcomes;
}

/** What decides a measurement. */
export interface MeasurementSource {
  readonly task: string;
  /** Of the task's rows as the model reads them. */
  readonly contentHash: string;
  /** `contentHash` of the dense model's weights, with which the middle is compared. */
  readonly modelHash: string;
  /** Names the middle through what it is made from. */
  readonly middleKey: string;
  /** Of all weights. */
  readonly format: string;
}

/** Grows when what the numbers mean or how they are stored changes. */
const measurementSchemaVersion = 1;
const planFile = "plan.json";

const values = z.array(z.number()).transform((list) => Float64Array.from(list));

const outcomesSchema = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("choice"), acc: values, accNorm: values }),
  z.strictObject({
    kind: z.literal("text"),
    numTokens: values,
    loss: values,
    kl: values.nullable(),
    numAgreeing: values.nullable(),
  }),
  z.strictObject({ kind: z.literal("generation"), strict: values, flexible: values }),
]);

const metadataSchema = z.strictObject({
  schemaVersion: z.literal(measurementSchemaVersion),
  sizeBytes: z.int().nonnegative(),
  buildSeconds: z.number().nonnegative().nullable(),
  outcomes: outcomesSchema,
});

/** Measurements that were made before, so that an evaluation goes on where another one ended. */
export class MeasurementStore {
  readonly #store: ArtifactStore;
  readonly #log: (line: string) => void;

  /** @param log called with what happened to stored files */
  constructor(store: ArtifactStore, log: (line: string) => void = () => undefined) {
    this.#store = store;
    this.#log = log;
  }

  /** Null where there is none. One that is damaged or of another release is removed. */
  async read(source: MeasurementSource): Promise<Measurement | null> {
    const key = measurementKey(source);
    try {
      const artifact = await this.#store.read(key);
      if (artifact === null) return null;
      const parsed = metadataSchema.safeParse(artifact.metadata);
      if (!parsed.success) {
        const issues = describeIssues(parsed.error);
        throw new ArtifactError(key, `is no measurement of this release: ${issues}`);
      }
      const { outcomes, sizeBytes, buildSeconds } = parsed.data;
      let plan: ExpertPlan | null = null;
      if (artifact.fileNames.includes(planFile)) {
        const path = artifact.path(planFile);
        plan = parseExpertPlan(path, readFileSync(path, "utf8"));
      }
      return { middle: { plan, sizeBytes, buildSeconds }, outcomes };
    } catch (error) {
      const isDamaged = error instanceof ArtifactError || error instanceof ModelLoadError;
      if (!isDamaged) throw error;
      this.#log(`${error.message}: measuring again`);
      await this.#store.remove(key);
      return null;
    }
  }

  async write(source: MeasurementSource, { middle, outcomes }: Measurement): Promise<void> {
    const { plan, sizeBytes, buildSeconds } = middle;
    const metadata: z.input<typeof metadataSchema> = {
      schemaVersion: measurementSchemaVersion,
      sizeBytes,
      buildSeconds,
      outcomes: listed(outcomes),
    };
    await this.#store.write(
      measurementKey(source),
      metadata,
      plan === null ? [] : [[planFile, [Buffer.from(serializeExpertPlan(plan))]]],
    );
  }
}

/** Name of an artifact that holds the measurement. */
function measurementKey({
  task,
  contentHash,
  modelHash,
  middleKey,
  format,
}: MeasurementSource): string {
  const source = [measurementSchemaVersion, task, contentHash, modelHash, middleKey, format];
  const hash = createHash("sha256").update(JSON.stringify(source)).digest("hex");
  return `evaluation-${hash.slice(0, 32)}`;
}

function listed(outcomes: Outcomes): z.input<typeof outcomesSchema> {
  const list = (typed: Float64Array): number[] => Array.from(typed);
  switch (outcomes.kind) {
    case "choice":
      return { kind: "choice", acc: list(outcomes.acc), accNorm: list(outcomes.accNorm) };
    case "text":
      return {
        kind: "text",
        numTokens: list(outcomes.numTokens),
        loss: list(outcomes.loss),
        kl: outcomes.kl && list(outcomes.kl),
        numAgreeing: outcomes.numAgreeing && list(outcomes.numAgreeing),
      };
    case "generation":
      return {
        kind: "generation",
        strict: list(outcomes.strict),
        flexible: list(outcomes.flexible),
      };
  }
}
