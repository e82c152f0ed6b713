import { CounterRandom } from "./random.ts";
import type { SamplingParams } from "./request.ts";
import { argmax, drawToken } from "./token-draw.ts";

/** Takes the most likely token, with every rule off. */
export const greedy: SamplingParams = {
  temperature: 0,
  topP: 1,
  topK: 0,
  minP: 0,
  seed: 0,
  repetitionPenalty: 1,
  frequencyPenalty: 0,
  presencePenalty: 0,
  logitBias: [],
};

/**
 * Draws the tokens of one sequence. First the logits are adjusted: biases are added, then the
 * repetition penalty applies to tokens of prompt and output, then frequency and presence penalty to
 * tokens of the output. Then the most likely token is taken (temperature 0), or one is drawn as
 * `drawToken` says.
 */
export class Sampler {
  readonly #params: SamplingParams;
  readonly #vocabSize: number;
  readonly #random: CounterRandom;
  /** Tokens of prompt and output; only kept where the repetition penalty is on. */
  readonly #seen = new Set<number>();
  /** Occurrences in the output; only kept where one of its penalties is on. */
  readonly #outputCounts = new Map<number, number>();
  readonly #adjustsLogits: boolean;
  #adjusted: Float32Array | null = null;

  constructor(params: SamplingParams, vocabSize: number, promptTokenIds: ArrayLike<number>) {
    this.#params = params;
    this.#vocabSize = vocabSize;
    this.#random = new CounterRandom(params.seed);
    if (this.#penalizesRepetition) {
      for (let i = 0; i < promptTokenIds.length; i++) this.#seen.add(promptTokenIds[i]!);
    }
    this.#adjustsLogits =
      params.logitBias.length > 0 || this.#penalizesRepetition || this.#penalizesOutput;
  }

  get #penalizesRepetition(): boolean {
    return this.#params.repetitionPenalty !== 1;
  }

  get #penalizesOutput(): boolean {
    return this.#params.frequencyPenalty !== 0 || this.#params.presencePenalty !== 0;
  }

  /**
   * The next token, which then counts as part of the output.
   * @param logits shape `[vocabSize]`; left as they are, they may be part of a batch
   * @throws InferenceError when no logit is a number above -Infinity.
   */
  next(logits: Float32Array): number {
    const adjusted = this.#adjustsLogits ? this.#adjust(logits) : logits;
    const tokenId =
      this.#params.temperature === 0
        ? argmax(adjusted)
        : drawToken(adjusted, this.#params, this.#random.next());
    if (this.#penalizesRepetition) this.#seen.add(tokenId);
    if (this.#penalizesOutput) {
      this.#outputCounts.set(tokenId, (this.#outputCounts.get(tokenId) ?? 0) + 1);
    }
    return tokenId;
  }

  #adjust(logits: Float32Array): Float32Array {
    this.#adjusted ??= new Float32Array(this.#vocabSize);
    const adjusted = this.#adjusted;
    adjusted.set(logits);
    const { logitBias, repetitionPenalty, frequencyPenalty, presencePenalty } = this.#params;
    for (const [id, bias] of logitBias) adjusted[id]! += bias;
    for (const id of this.#seen) {
      const logit = adjusted[id]!;
      adjusted[id] = logit > 0 ? logit / repetitionPenalty : logit * repetitionPenalty;
    }
    for (const [id, count] of this.#outputCounts) {
      adjusted[id]! -= count * frequencyPenalty + presencePenalty;
    }
    return adjusted;
  }
}
