/** Natural logarithms of the probabilities that the model itself gave, whatever the sampling did with them. */
export interface TokenLogprobs {
  readonly tokenId: number;
  readonly logprob: number;
  /** The most likely tokens, most likely first, the lower id first of equally likely ones. */
  readonly top: readonly (readonly [tokenId: number, logprob: number])[];
}

/** What a request wants to know of each token. */
export interface LogprobsParams {
  /** How many of the most likely tokens, at least 0. */
  readonly numTop: number;
}

/**
 * @param logits shape `[vocabSize]`
 * @returns what the model thought of `tokenId`, and of what it would rather have said
 */
export function tokenLogprobs(
  logits: Float32Array,
  tokenId: number,
  { numTop }: LogprobsParams,
): TokenLogprobs {
  const normalizer = logSumExp(logits);
  const logprobOf = (id: number) => logits[id]! - normalizer;
  return {
    tokenId,
    logprob: logprobOf(tokenId),
    top: mostLikely(logits, numTop).map((id) => [id, logprobOf(id)] as const),
  };
}

/** Reads what the model thinks of a prompt's tokens while the prompt is computed. */
export class PromptLogprobs {
  readonly #tokenIds: Uint32Array;
  readonly #params: LogprobsParams;
  /** Null for the first token, which nothing comes before. */
  readonly #read: (TokenLogprobs | null)[] = [null];

  constructor(promptTokenIds: Uint32Array, params: LogprobsParams) {
    this.#tokenIds = promptTokenIds;
    this.#params = params;
  }

  /** Some tokens of the prompt have not been read. */
  get isReading(): boolean {
    return this.#read.length < this.#tokenIds.length;
  }

  /** One entry for each token of the prompt, once all are read. */
  get tokens(): readonly (TokenLogprobs | null)[] {
    return this.#read;
  }

  /**
   * Takes the logits of the prompt's tokens from `start` on, in order; what has been read before may come again.
   * @param logits shape `[numTokens, vocabSize]`
   */
  add(start: number, logits: Float32Array, vocabSize: number): void {
    for (let row = this.#read.length - 1 - start; row * vocabSize < logits.length; row++) {
      const next = this.#tokenIds[start + row + 1];
      if (next === undefined) return;
      const rowLogits = logits.subarray(row * vocabSize, (row + 1) * vocabSize);
      this.#read.push(tokenLogprobs(rowLogits, next, this.#params));
    }
  }
}

function logSumExp(logits: Float32Array): number {
  let max = -Infinity;
  for (const logit of logits) if (logit > max) max = logit;
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - max);
  return max + Math.log(sum);
}

/** Ids of the `count` largest logits, largest first, the lower id first of equal ones. */
function mostLikely(logits: Float32Array, count: number): number[] {
  const ids: number[] = [];
  let smallest = -Infinity;
  for (let id = 0; id < logits.length && count > 0; id++) {
    const logit = logits[id]!;
    if (ids.length === count && !(logit > smallest)) continue;
    let place = ids.length;
    while (place > 0 && logit > logits[ids[place - 1]!]!) place--;
    ids.splice(place, 0, id);
    if (ids.length > count) ids.pop();
    smallest = logits[ids.at(-1)!]!;
  }
  return ids;
}
