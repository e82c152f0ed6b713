import { createHash } from "node:crypto";
import type { Tokenizer } from "../../model/text/tokenizer.ts";
import type { CorpusEncoder } from "../tasks/corpus-encoder.ts";
import type { ChoiceQuestion } from "./choice-tasks.ts";
import { EvaluationError } from "../tasks/errors.ts";
import { maxAnswerTokens } from "./math-answers.ts";
import type { EncodedProblem, MathProblem } from "./math-answers.ts";
import { encodeQuestions } from "./multiple-choice.ts";
import type { TaskRows } from "./read-tasks.ts";
import { packGroups } from "../scoring/scoring-batches.ts";
import type { ScoredSequence } from "../scoring/scoring-batches.ts";
import { encodeTexts } from "../tasks/text-tasks.ts";

export interface TaskEncodeOptions {
  readonly tokenizer: Pick<Tokenizer, "encode" | "eosTokenIds">;
  readonly encoder: CorpusEncoder;
  /** Tokens that the model can read. */
  readonly contextLength: number;
  /** Most sequences of a text task. */
  readonly maxRows: number;
}

interface Encoded {
  readonly name: string;
  readonly numRows: number;
  /** Tokens that a middle reads or may write: how much work it is. */
  readonly numTokens: number;
  /** Names what is asked, as tokens, and how answers are judged. */
  readonly contentHash: string;
}

interface EncodedGroups extends Encoded {
  readonly groups: readonly (readonly ScoredSequence[])[];
}

export interface EncodedChoice extends EncodedGroups {
  readonly kind: "choice";
  readonly metric: "acc" | "acc_norm";
  readonly questions: readonly ChoiceQuestion[];
}

export interface EncodedText extends EncodedGroups {
  readonly kind: "text";
}

export interface EncodedGeneration extends Encoded {
  readonly kind: "generation";
  readonly problems: readonly EncodedProblem[];
}

/** A task as the model reads it. */
export type EncodedTask = EncodedChoice | EncodedText | EncodedGeneration;

/** @throws EvaluationError for a task without rows, CorpusError */
export function encodeTask(task: TaskRows, options: TaskEncodeOptions): EncodedTask {
  const encoded = encodeRows(task, options);
  if (encoded.numRows > 0) return encoded;
  throw new EvaluationError(`Task ${task.name} has no rows, expected at least one.`);
}

function encodeRows(task: TaskRows, options: TaskEncodeOptions): EncodedTask {
  const { tokenizer, encoder, contextLength, maxRows } = options;
  const { name } = task;
  if (task.kind === "choice") {
    const { metric, questions } = task;
    const groups = encodeQuestions(tokenizer, questions, contextLength);
    const judged = questions.map(({ answer, choiceLengths }) => ({ answer, choiceLengths }));
    return { kind: "choice", name, metric, questions, ...describeGroups(groups, judged) };
  }
  if (task.kind === "text") {
    const { eosTokenIds } = tokenizer;
    const sequences = encodeTexts(task.texts, encoder, { eosTokenIds, maxRows });
    const groups = sequences.map((sequence) => [sequence]);
    return { kind: "text", name, ...describeGroups(groups, null) };
  }
  const problems = task.problems.map((problem) =>
    encodeProblem(problem, encoder, contextLength - maxAnswerTokens),
  );
  const numTokens = problems.reduce(
    (sum, { promptTokenIds }) => sum + promptTokenIds.length + maxAnswerTokens,
    0,
  );
  const hash = createHash("sha256").update(`${maxAnswerTokens}\n`);
  for (const { promptTokenIds, final } of problems) {
    hash.update(`${JSON.stringify(final)} ${promptTokenIds.length}\n`).update(promptTokenIds);
  }
  const contentHash = hash.digest("hex");
  return { kind: "generation", name, problems, numRows: problems.length, numTokens, contentHash };
}

/** @param judged what decides how scores become outcomes, beside the groups */
function describeGroups(
  groups: readonly (readonly ScoredSequence[])[],
  judged: unknown,
): Omit<EncodedGroups, "name"> {
  const hash = createHash("sha256").update(JSON.stringify(judged));
  for (const group of groups) {
    hash.update(`\n${group.length}\n`);
    for (const { tokenIds, firstScored } of group) {
      hash.update(`${tokenIds.length} ${firstScored}\n`).update(tokenIds);
    }
  }
  const numTokens = packGroups(groups).reduce((sum, { tokens }) => sum + tokens.length, 0);
  return { groups, numRows: groups.length, numTokens, contentHash: hash.digest("hex") };
}

function encodeProblem(
  { question, final }: MathProblem,
  encoder: CorpusEncoder,
  maxSequenceTokens: number,
): EncodedProblem {
  const row = { kind: "chat", messages: [{ role: "user", content: question }] } as const;
  const [sequence] = encoder.encode([row], { maxSequenceTokens });
  return { promptTokenIds: sequence!.tokenIds, final };
}
