import { createHash } from "node:crypto";
import type { ModelWeights } from "../model/config.ts";
import { buildMiddle } from "../model/model-stages.ts";
import type { WeightFormat } from "../model/quantize.ts";
import type { StageModel } from "../model/stage-graph.ts";
import { bootstrapRatio } from "./evaluation/intervals.ts";
import type { Estimate } from "./evaluation/intervals.ts";
import type { ScoredSequence } from "./evaluation/scoring-batches.ts";
import { ScoringModel } from "./evaluation/scoring-model.ts";
import type { PreparedSequences, ReferenceStates } from "./evaluation/scoring-model.ts";
import { textOutcomes } from "./evaluation/text-quality.ts";

/** How well a middle predicts held-out text, beside dense. */
export interface HeldOutQuality {
  /** Mean negative log-likelihood, nats a token. */
  readonly denseLoss: number;
  /** The same of the expert. */
  readonly loss: number;
  /** `loss - denseLoss`: rise of log-perplexity, by a paired bootstrap over the texts. */
  readonly lossIncrease: Estimate;
  /** Kullback-Leibler divergence from dense to the expert, nats a token. */
  readonly kl: Estimate;
  /** Share of tokens whose most likely one is dense's. */
  readonly topAgreement: Estimate;
}

export interface HeldOutJudgeOptions {
  /** Of all weights, dense and expert. */
  readonly format: WeightFormat;
  readonly numThreads: number;
  /** Called with the tokens that the middle has read. */
  readonly onProgress?: (done: number, total: number) => void;
  readonly signal?: AbortSignal;
}

interface DenseScores {
  readonly loss: Float64Array;
  readonly numTokens: Float64Array;
  readonly states: ReferenceStates;
}

/** Judges middles by the same held-out texts of one task. */
export class HeldOutJudge {
  /** Of the texts. */
  readonly hash: string;
  readonly numSequences: number;
  /** That count: prompts do not. */
  readonly numTokens: number;
  /** Of the dense middle in the same format. */
  readonly denseBytes: number;
  readonly #model: ScoringModel;
  readonly #prepared: PreparedSequences;
  readonly #dense: DenseScores;
  readonly #options: HeldOutJudgeOptions;

  private constructor(
    sequences: readonly ScoredSequence[],
    model: ScoringModel,
    prepared: PreparedSequences,
    dense: DenseScores & { readonly sizeBytes: number },
    options: HeldOutJudgeOptions,
  ) {
    this.hash = hashOf(sequences);
    this.numSequences = sequences.length;
    this.numTokens = dense.numTokens.reduce((sum, count) => sum + count, 0);
    this.denseBytes = dense.sizeBytes;
    this.#model = model;
    this.#prepared = prepared;
    this.#dense = dense;
    this.#options = options;
  }

  /**
   * Scores the texts with the dense model.
   * @param weights must stay open
   * @throws CalibrationError, and the signal's reason
   */
  static async load(
    weights: ModelWeights,
    sequences: readonly ScoredSequence[],
    options: HeldOutJudgeOptions,
  ): Promise<HeldOutJudge> {
    const model = await ScoringModel.load(weights, options);
    try {
      const prepared = model.prepare(sequences.map((sequence) => [sequence]));
      const stage = buildMiddle(weights, options.format, { name: "dense" });
      const { scores, states } = await scoreMiddle(model, prepared, stage, options);
      const { loss, numTokens } = textOutcomes(scores);
      const dense = { loss, numTokens, states, sizeBytes: stage.sizeBytes };
      return new HeldOutJudge(sequences, model, prepared, dense, options);
    } catch (error) {
      await model.release();
      throw error;
    }
  }

  /** @throws CalibrationError, and the signal's reason */
  async judge(middle: StageModel): Promise<HeldOutQuality> {
    const { states: reference } = this.#dense;
    const options = { ...this.#options, reference };
    const { scores } = await scoreMiddle(this.#model, this.#prepared, middle, options);
    const { loss, kl, numAgreeing, numTokens } = textOutcomes(scores);
    const { loss: denseLoss } = this.#dense;
    const perToken = (values: Float64Array): Estimate => bootstrapRatio(values, numTokens);
    return {
      denseLoss: perToken(denseLoss).value,
      loss: perToken(loss).value,
      lossIncrease: perToken(loss.map((value, row) => value - denseLoss[row]!)),
      kl: perToken(kl!),
      topAgreement: perToken(numAgreeing!),
    };
  }

  async release(): Promise<void> {
    await this.#model.release();
  }
}

async function scoreMiddle(
  model: ScoringModel,
  prepared: PreparedSequences,
  stage: StageModel,
  options: HeldOutJudgeOptions & { readonly reference?: ReferenceStates },
) {
  const middle = await model.loadMiddle(stage);
  try {
    return await model.score(prepared, middle, options);
  } finally {
    await middle.release();
  }
}

/** Names the texts and which of their tokens count. */
export function hashOf(sequences: readonly ScoredSequence[]): string {
  const hash = createHash("sha256");
  for (const { tokenIds, firstScored } of sequences) {
    hash.update(`${tokenIds.length} ${firstScored}\n`).update(tokenIds);
  }
  return hash.digest("hex");
}
