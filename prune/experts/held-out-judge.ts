import { createHash } from "node:crypto";
import type { ModelWeights } from "../../model/weights/config.ts";
import { buildMiddleSegments, totalBytes } from "../../model/stages/model-stages.ts";
import type { WeightFormat } from "../../model/weights/quantize.ts";
import type { StageModel } from "../../model/stages/stage-spec.ts";
import { bootstrapRatio } from "../scoring/intervals.ts";
import type { Estimate } from "../scoring/intervals.ts";
import type { ScoredSequence } from "../scoring/scoring-batches.ts";
import { ScoringModel } from "../scoring/scoring-model.ts";
import type { PreparedSequences, ReferenceStates } from "../scoring/scoring-model.ts";
import { textOutcomes } from "../scoring/text-quality.ts";

/** How well a middle predicts held-out text, beside dense. */
export interface HeldOutQuality {
  /** Of the dense middle in the same format. */
  readonly denseBytes: number;
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
  /** Called with the tokens that a middle has read; dense reads them once, before the first expert. */
  readonly onProgress?: (reader: "dense" | "expert", done: number, total: number) => void;
  readonly signal?: AbortSignal;
}

interface LoadedJudge {
  readonly model: ScoringModel;
  readonly prepared: PreparedSequences;
  readonly denseBytes: number;
  /** Of dense, nats by text. */
  readonly denseLoss: Float64Array;
  readonly states: ReferenceStates;
}

/** Judges middles by the same held-out texts of one task. */
export class HeldOutJudge {
  /** Names the texts and which of their tokens count. */
  readonly hash: string;
  readonly numSequences: number;
  /** That count: prompts do not. */
  readonly numTokens: number;
  readonly #weights: ModelWeights;
  readonly #sequences: readonly ScoredSequence[];
  readonly #options: HeldOutJudgeOptions;
  #loaded: Promise<LoadedJudge> | null = null;

  /** @param weights must stay open */
  constructor(
    weights: ModelWeights,
    sequences: readonly ScoredSequence[],
    options: HeldOutJudgeOptions,
  ) {
    this.hash = hashOf(sequences);
    this.numSequences = sequences.length;
    this.numTokens = sequences.reduce(
      (sum, { tokenIds, firstScored }) => sum + tokenIds.length - firstScored,
      0,
    );
    this.#weights = weights;
    this.#sequences = sequences;
    this.#options = options;
  }

  /** The first call scores dense too. @throws CalibrationError, and the signal's reason */
  async judge(middle: readonly StageModel[]): Promise<HeldOutQuality> {
    const { model, prepared, denseBytes, denseLoss, states } = await this.#load();
    const options = { ...this.#options, reference: states };
    const { scores } = await scoreMiddle(model, prepared, middle, options);
    const { loss, kl, numAgreeing, numTokens } = textOutcomes(scores);
    const perToken = (values: Float64Array): Estimate => bootstrapRatio(values, numTokens);
    return {
      denseBytes,
      denseLoss: perToken(denseLoss).value,
      loss: perToken(loss).value,
      lossIncrease: perToken(loss.map((value, row) => value - denseLoss[row]!)),
      kl: perToken(kl!),
      topAgreement: perToken(numAgreeing!),
    };
  }

  async release(): Promise<void> {
    const loaded = await this.#loaded?.catch(() => null);
    await loaded?.model.release();
  }

  #load(): Promise<LoadedJudge> {
    return (this.#loaded ??= loadJudge(this.#weights, this.#sequences, this.#options));
  }
}

async function loadJudge(
  weights: ModelWeights,
  sequences: readonly ScoredSequence[],
  options: HeldOutJudgeOptions,
): Promise<LoadedJudge> {
  const model = await ScoringModel.load(weights, options);
  try {
    const prepared = model.prepare(sequences.map((sequence) => [sequence]));
    const dense = buildMiddleSegments(weights, options.format, { name: "dense" });
    const { scores, states } = await scoreMiddle(model, prepared, dense, options);
    const { loss: denseLoss } = textOutcomes(scores);
    return { model, prepared, denseBytes: totalBytes(dense), denseLoss, states };
  } catch (error) {
    await model.release();
    throw error;
  }
}

async function scoreMiddle(
  model: ScoringModel,
  prepared: PreparedSequences,
  segments: readonly StageModel[],
  options: HeldOutJudgeOptions & { readonly reference?: ReferenceStates },
) {
  const { reference, onProgress, signal } = options;
  const middle = await model.loadMiddle(segments);
  try {
    return await model.score(prepared, middle, {
      ...(reference && { reference }),
      ...(signal && { signal }),
      onProgress: (numTokens) =>
        onProgress?.(reference ? "expert" : "dense", numTokens, prepared.numTokens),
    });
  } finally {
    await middle.release();
  }
}

function hashOf(sequences: readonly ScoredSequence[]): string {
  const hash = createHash("sha256");
  for (const { tokenIds, firstScored } of sequences) {
    hash.update(`${tokenIds.length} ${firstScored}\n`).update(tokenIds);
  }
  return hash.digest("hex");
}
