import { InferenceError } from "../contract/errors.ts";
import { CounterRandom } from "./random.ts";
import { RecentTokens } from "./recent-tokens.ts";
import type { SamplingParams } from "../contract/request.ts";
import { argmax, drawToken } from "./token-draw.ts";

/** Takes the most likely token, with every rule off. */
export const greedy: SamplingParams = {
  temperature: 0,
  topP: 1,
  topK: 0,
  minP: 0,
  seed: 0,
  repetitionPenalty: 1,
  repetitionWindow: Infinity,
  frequencyPenalty: 0,
  presencePenalty: 0,
  logitBias: [],
};

/** Below this nothing but the most likely token has a chance; 1 / temperature overflows further down. */
const minTemperature = 1e-6;

/**
 * Draws the tokens of one sequence, of those that its grammar allows. First the logits are adjusted: biases are added, then the
 * repetition penalty applies to tokens of prompt and output, then frequency and presence penalty to
 * tokens of the output. Then the most likely token is taken (temperature below 1e-6), or one is drawn as
 * `drawToken` says.
 */
export class Sampler {
  readonly #params: SamplingParams;
  readonly #vocabSize: number;
  readonly #random: CounterRandom;
  /** Tokens of prompt and output; only kept where the repetition penalty is on. */
  readonly #seen: RecentTokens;
  /** Occurrences in the output; only kept where one of its penalties is on. */
  readonly #outputCounts = new Map<number, number>();
  readonly #adjustsLogits: boolean;
  #adjusted: Float32Array | null = null;

  constructor(params: SamplingParams, vocabSize: number, promptTokenIds: ArrayLike<number>) {
    this.#params = params;
    this.#vocabSize = vocabSize;
    this.#random = new CounterRandom(params.seed);
    this.#seen = new RecentTokens(params.repetitionWindow);
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
   * @param mask of the tokens that may come, bit `i % 32` of element `i / 32` for token `i`; null for all
   * @throws InferenceError when no logit of these is a number above -Infinity, or none could be drawn.
   */
  next(logits: Float32Array, mask: Int32Array | null = null): number {
    let adjusted = this.#adjustsLogits ? this.#adjust(logits) : logits;
    if (mask !== null) {
      if (adjusted === logits) adjusted = this.#copy(logits);
      excludeUnset(adjusted, mask);
    }
    const tokenId =
      this.#params.temperature < minTemperature
        ? argmax(adjusted)
        : drawToken(adjusted, this.#params, this.#random.next());
    if (!(tokenId >= 0 && tokenId < this.#vocabSize)) {
      throw new InferenceError(`Token ${tokenId} was drawn of ${this.#vocabSize}.`);
    }
    if (this.#penalizesRepetition) this.#seen.add(tokenId);
    if (this.#penalizesOutput) {
      this.#outputCounts.set(tokenId, (this.#outputCounts.get(tokenId) ?? 0) + 1);
    }
    return tokenId;
  }

  #copy(logits: Float32Array): Float32Array {
    this.#adjusted ??= new Float32Array(this.#vocabSize);
    this.#adjusted.set(logits);
    return this.#adjusted;
  }

  #adjust(logits: Float32Array): Float32Array {
    const adjusted = this.#copy(logits);
    const { logitBias, repetitionPenalty, frequencyPenalty, presencePenalty } = this.#params;
    for (const [id, bias] of logitBias) adjusted[id]! += bias;
    for (const id of this.#seen.ids()) {
      const logit = adjusted[id]!;
      adjusted[id] = logit > 0 ? logit / repetitionPenalty : logit * repetitionPenalty;
    }
    for (const [id, count] of this.#outputCounts) {
      adjusted[id]! -= count * frequencyPenalty + presencePenalty;
    }
    return adjusted;
  }
}

function excludeUnset(logits: Float32Array, mask: Int32Array): void {
  for (let word = 0; word * 32 < logits.length; word++) {
    const bits = mask[word] ?? 0;
    if (bits === -1) continue;
    const start = word * 32;
    if (bits === 0) logits.fill(-Infinity, start, start + 32);
    else {
      const end = Math.min(32, logits.length - start);
      for (let i = 0; i < end; i++) if (((bits >>> i) & 1) === 0) logits[start + i] = -Infinity;
    }
  }
}
