import type { PromptSpans, TokenSpan } from "./prompt-spans.ts";

/**
 * First and last tokens of what is asked that count once more, apart: in a long quotation the instruction
 * stands at one of the ends.
 */
export const edgeTokens = 16;
/** As many tokens the user's message before the last one counts for, however long: enough for "And of 340?". */
const previousWeight = 6;

/** Length of a prompt's features. */
export function numTrunkFeatures(hiddenSize: number): number {
  return 4 * hiddenSize + 1;
}

/**
 * Adds up the trunk's output while a prompt passes it, chunk by chunk, into what a router decides by: the mean
 * over the question, its spread, the means over the question's first and over its last tokens, and the
 * logarithm of its length. Sums are in double precision and token after token, so chunks do not matter.
 */
export class FeaturePool {
  readonly #hiddenSize: number;
  readonly #spans: readonly TokenSpan[];
  /** Question, its first tokens, its last tokens, message before. Shape `[4, hiddenSize]`. */
  readonly #sums: Float64Array;
  /** Of the question. Shape `[hiddenSize]`. */
  readonly #squares: Float64Array;
  #position = 0;

  /** @param spans of the prompt whose tokens are added */
  constructor(hiddenSize: number, { question, previous }: PromptSpans) {
    this.#hiddenSize = hiddenSize;
    const { start, end } = question;
    this.#spans = [
      question,
      { start, end: Math.min(start + edgeTokens, end) },
      { start: Math.max(end - edgeTokens, start), end },
      ...(previous === null ? [] : [previous]),
    ];
    this.#sums = new Float64Array(4 * hiddenSize);
    this.#squares = new Float64Array(hiddenSize);
  }

  /** All tokens that count have passed. */
  get isComplete(): boolean {
    return this.#position >= this.#spans[0]!.end;
  }

  /** @param hidden the trunk's output of the next tokens. Shape `[numTokens, hiddenSize]`. */
  add(hidden: Float32Array): void {
    const size = this.#hiddenSize;
    const numTokens = hidden.length / size;
    for (const [part, span] of this.#spans.entries()) {
      const first = Math.max(span.start - this.#position, 0);
      const last = Math.min(span.end - this.#position, numTokens);
      for (let token = first; token < last; token++) {
        for (let i = 0; i < size; i++) {
          const value = hidden[token * size + i]!;
          this.#sums[part * size + i]! += value;
          if (part === 0) this.#squares[i]! += value * value;
        }
      }
    }
    this.#position += numTokens;
  }

  /** Of a complete prompt. Shape `[numTrunkFeatures]`. */
  features(): Float32Array {
    const size = this.#hiddenSize;
    const features = new Float32Array(numTrunkFeatures(size));
    const [question, head, tail, previous] = this.#spans as [
      TokenSpan,
      TokenSpan,
      TokenSpan,
      TokenSpan?,
    ];
    const weight = previous === undefined ? 0 : previousWeight;
    const mean = (part: number, span: TokenSpan, i: number): number =>
      this.#sums[part * size + i]! / lengthOf(span);
    for (let i = 0; i < size; i++) {
      const own = mean(0, question, i);
      const variance = this.#squares[i]! / lengthOf(question) - own * own;
      const before = previous === undefined ? 0 : mean(3, previous, i);
      const length = lengthOf(question);
      features[i] = (length * own + weight * before) / (length + weight);
      features[size + i] = Math.sqrt(Math.max(variance, 0));
      features[2 * size + i] = mean(1, head, i);
      features[3 * size + i] = mean(2, tail, i);
    }
    features[4 * size] = Math.log1p(lengthOf(question));
    return features;
  }
}

/** At least 1, to divide by. */
function lengthOf({ start, end }: TokenSpan): number {
  return Math.max(end - start, 1);
}

/** Features of the `logistic` router: the mean of the question's input embeddings. Shape `[hiddenSize]`. */
export function meanEmbedding(
  embedding: Float32Array,
  hiddenSize: number,
  tokenIds: Uint32Array,
  { question }: PromptSpans,
): Float32Array {
  const sum = new Float64Array(hiddenSize);
  for (const id of tokenIds.subarray(question.start, question.end)) {
    for (let i = 0; i < hiddenSize; i++) sum[i]! += embedding[id * hiddenSize + i]!;
  }
  return Float32Array.from(sum, (value) => value / lengthOf(question));
}
