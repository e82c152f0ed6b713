import type { ModelConfig } from "../../model/weights/config.ts";
import type { ExpertPlan, Sparsities } from "../../model/experts/expert-plan.ts";
import { bootstrapRatio, meanEstimate, pairedDifference, wilson } from "../scoring/intervals.ts";
import type { Estimate } from "../scoring/intervals.ts";
import type { MathOutcomes } from "./math-answers.ts";
import type { ChoiceOutcomes } from "./multiple-choice.ts";
import type { TextOutcomes } from "../scoring/text-quality.ts";

/** What was measured, as it is written to disk. Intervals are of 95 %. */
export interface EvaluationResult {
  readonly schemaVersion: 1;
  readonly model: EvaluatedModel;
  /** Most rows of each task. */
  readonly maxRows: number;
  /** Dense first. */
  readonly methods: readonly MethodResult[];
  readonly plans: readonly EvaluatedPlan[];
}

export interface EvaluatedModel extends Pick<
  ModelConfig,
  "numLayers" | "hiddenSize" | "numHeads" | "numKvHeads" | "headDim" | "intermediateSize"
> {
  readonly name: string;
  readonly hash: string;
  /** The first layer of the middle. */
  readonly firstLayer: number;
}

/** One method at one sparsity: experts of the tasks, or one middle for all. */
export interface MethodResult {
  readonly name: string;
  /** What the recipe aimed at; null for dense. */
  readonly sparsityTarget: number | null;
  /** Mean over the experts. */
  readonly trueSparsity: Sparsities;
  readonly tasks: readonly TaskResult[];
  /** Of one middle, mean over the experts. */
  readonly sizeBytes: number;
  /** Of one middle, mean over those that were built for this; null where none was. */
  readonly buildSeconds: number | null;
}

/** `difference`: to dense on the same rows, paired; null for dense itself. */
export type TaskResult = ChoiceResult | TextResult | GenerationResult;

interface Compared {
  readonly task: string;
  readonly numRows: number;
  readonly difference: Estimate | null;
}

export interface ChoiceResult extends Compared {
  readonly kind: "choice";
  /** The one that tables show and `difference` is of. */
  readonly metric: "acc" | "acc_norm";
  readonly acc: Estimate;
  readonly accNorm: Estimate;
}

/** `difference` is of the log-perplexity. */
export interface TextResult extends Compared {
  readonly kind: "text";
  /** Tokens counted. */
  readonly numTokens: number;
  /** Mean loss of a token, nats. */
  readonly logPerplexity: Estimate;
  readonly perplexity: Estimate;
  /** Mean Kullback-Leibler divergence from dense of a token, nats; null for dense. */
  readonly kl: Estimate | null;
  /** Share of tokens whose most likely ones are dense's; null for dense. */
  readonly agreement: Estimate | null;
}

/** `difference` is of the flexible match. */
export interface GenerationResult extends Compared {
  readonly kind: "generation";
  readonly strict: Estimate;
  readonly flexible: Estimate;
}

export interface EvaluatedPlan {
  /** `name` of the method's result. */
  readonly method: string;
  readonly sparsityTarget: number;
  readonly plan: ExpertPlan;
}

/** @param dense null for dense itself */
export function summarizeChoice(
  task: { readonly name: string; readonly metric: "acc" | "acc_norm" },
  outcomes: ChoiceOutcomes,
  dense: ChoiceOutcomes | null,
): ChoiceResult {
  const field = task.metric === "acc" ? "acc" : "accNorm";
  return {
    kind: "choice",
    task: task.name,
    metric: task.metric,
    numRows: outcomes.acc.length,
    acc: wilson(outcomes.acc),
    accNorm: wilson(outcomes.accNorm),
    difference: dense && pairedDifference(outcomes[field], dense[field]),
  };
}

/** @param dense null for dense itself */
export function summarizeText(
  task: string,
  outcomes: TextOutcomes,
  dense: TextOutcomes | null,
): TextResult {
  const { numTokens, loss, kl, numAgreeing } = outcomes;
  const logPerplexity = bootstrapRatio(loss, numTokens);
  const rises = dense && loss.map((value, row) => value - dense.loss[row]!);
  return {
    kind: "text",
    task,
    numRows: numTokens.length,
    numTokens: numTokens.reduce((sum, value) => sum + value, 0),
    logPerplexity,
    perplexity: {
      value: Math.exp(logPerplexity.value),
      low: Math.exp(logPerplexity.low),
      high: Math.exp(logPerplexity.high),
    },
    kl: kl && bootstrapRatio(kl, numTokens),
    agreement: numAgreeing && bootstrapRatio(numAgreeing, numTokens),
    difference: rises && bootstrapRatio(rises, numTokens),
  };
}

/** @param dense null for dense itself */
export function summarizeGeneration(
  task: string,
  outcomes: MathOutcomes,
  dense: MathOutcomes | null,
): GenerationResult {
  return {
    kind: "generation",
    task,
    numRows: outcomes.strict.length,
    strict: wilson(outcomes.strict),
    flexible: wilson(outcomes.flexible),
    difference: dense && pairedDifference(outcomes.flexible, dense.flexible),
  };
}

/** The accuracy that tables show. */
export function shownAccuracy(result: ChoiceResult): Estimate {
  return result.metric === "acc" ? result.acc : result.accNorm;
}

/** Over the multiple-choice tasks; null without any. */
export function meanAccuracy({ tasks }: MethodResult): Estimate | null {
  const estimates = tasks.filter((task) => task.kind === "choice").map(shownAccuracy);
  return estimates.length > 0 ? meanEstimate(estimates) : null;
}

/** Mean difference to dense over the tasks of a kind; null for dense and without such tasks. */
export function meanDifference({ tasks }: MethodResult, kind: TaskResult["kind"]): Estimate | null {
  const differences = tasks
    .filter((task) => task.kind === kind)
    .flatMap(({ difference }) => difference ?? []);
  return differences.length > 0 ? meanEstimate(differences) : null;
}

/** Over the texts; null for dense and without texts. */
export function meanOfTexts({ tasks }: MethodResult, field: "kl" | "agreement"): Estimate | null {
  const estimates = tasks.flatMap((task) => (task.kind === "text" ? (task[field] ?? []) : []));
  return estimates.length > 0 ? meanEstimate(estimates) : null;
}

/** What tables and plots call it, for instance `flap 30 %`. */
export function methodLabel({
  name,
  sparsityTarget,
}: Pick<MethodResult, "name" | "sparsityTarget">): string {
  return sparsityTarget === null ? name : `${name} ${Math.round(sparsityTarget * 100)} %`;
}
