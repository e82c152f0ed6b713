import type { Tokenizer } from "../../model/text/tokenizer.ts";
import type { ChoiceQuestion } from "./choice-tasks.ts";
import { encodePair } from "../scoring/pair-encoding.ts";
import type { ScoredSequence } from "../scoring/scoring-batches.ts";

/** Whether each question was answered rightly: 1 or 0, in the order of the questions. */
export interface ChoiceOutcomes {
  readonly kind: "choice";
  /** By the log-likelihood of the choice. */
  readonly acc: Float64Array;
  /** By the log-likelihood divided by the choice's length in characters. */
  readonly accNorm: Float64Array;
}

/** The choices of each question as a group of sequences to score. */
export function encodeQuestions(
  tokenizer: Pick<Tokenizer, "encode">,
  questions: readonly ChoiceQuestion[],
  contextLength: number,
): ScoredSequence[][] {
  return questions.map(({ pairs }) =>
    pairs.map((pair) => encodePair(tokenizer, pair, contextLength)),
  );
}

/**
 * As lm-evaluation-harness judges: the first of the most likely choices is the answer.
 * @param scores log-likelihood of each choice, question after question
 */
export function judgeChoices(
  questions: readonly ChoiceQuestion[],
  scores: readonly { readonly logProb: number }[],
): ChoiceOutcomes {
  const acc = new Float64Array(questions.length);
  const accNorm = new Float64Array(questions.length);
  let first = 0;
  for (const [index, { pairs, choiceLengths, answer }] of questions.entries()) {
    const logProbs = scores.slice(first, first + pairs.length).map(({ logProb }) => logProb);
    acc[index] = Number(argmax(logProbs) === answer);
    accNorm[index] = Number(argmax(logProbs.map((v, i) => v / choiceLengths[i]!)) === answer);
    first += pairs.length;
  }
  return { kind: "choice", acc, accNorm };
}

/** The lowest index of the largest value. */
function argmax(values: readonly number[]): number {
  return values.reduce((best, value, index) => (value > values[best]! ? index : best), 0);
}
