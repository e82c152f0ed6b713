import { z } from "zod";
import type { OpenGenerator } from "./answer-generator.ts";
import { readRows } from "../tasks/task-rows.ts";
import type { RowsOptions } from "../tasks/task-rows.ts";

export interface MathProblem {
  readonly question: string;
  /** The number asked for. */
  readonly final: string;
}

/** Whether each problem was solved: 1 or 0, in the order of the problems. */
export interface MathOutcomes {
  readonly kind: "generation";
  /** By the number after `####`. */
  readonly strict: Float64Array;
  /** By the last number in the answer. */
  readonly flexible: Float64Array;
}

/** A problem as the model reads it. */
export interface EncodedProblem {
  readonly promptTokenIds: Uint32Array;
  readonly final: string;
}

/** Enough for the steps of a solution. */
export const maxAnswerTokens = 256;

const mathRow = z.object({ question: z.string(), final: z.string() });

/** Problems of GSM8K. @throws EvaluationError */
export function readMathProblems(options: RowsOptions): MathProblem[] {
  return readRows("gsm8k.eval.jsonl", mathRow, options);
}

/**
 * Asks for all problems at once: who generates decides how many run together.
 * @param onProgress called with the number of problems that are answered
 */
export async function solveProblems(
  problems: readonly EncodedProblem[],
  generate: OpenGenerator["generate"],
  onProgress?: (done: number) => void,
): Promise<MathOutcomes> {
  const strict = new Float64Array(problems.length);
  const flexible = new Float64Array(problems.length);
  let done = 0;
  const solve = async ({ promptTokenIds, final }: EncodedProblem, index: number) => {
    const answer = await generate(promptTokenIds, maxAnswerTokens);
    const wanted = normalizeNumber(final);
    strict[index] = Number(strictNumber(answer) === wanted);
    flexible[index] = Number(flexibleNumber(answer) === wanted);
    onProgress?.(++done);
  };
  await Promise.all(problems.map(solve));
  return { kind: "generation", strict, flexible };
}

/** The number after the first `####`, or null: `strict-match` of lm-evaluation-harness. */
export function strictNumber(answer: string): string | null {
  const match = /#### (-?[0-9.,]+)/.exec(answer);
  return match && normalizeNumber(match[1]!);
}

/** The last number, or null: `flexible-extract` of lm-evaluation-harness. */
export function flexibleNumber(answer: string): string | null {
  const match = answer.match(/-?[$0-9.,]{2,}|-?[0-9]+/g)?.at(-1);
  return match === undefined ? null : normalizeNumber(match);
}

/** Without what lm-evaluation-harness ignores: commas, dollar signs, a full stop at the end. */
function normalizeNumber(text: string): string {
  return text.trim().replace(/[,$]/g, "").replace(/\.$/, "");
}
