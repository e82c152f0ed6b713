import type { StageModel } from "../../model/stage-graph.ts";
import type { Tokenizer } from "../../model/tokenizer.ts";
import type { CorpusEncoder } from "../corpus-encoder.ts";
import { EvaluationError } from "./errors.ts";
import { encodeQuestions, judgeChoices } from "./multiple-choice.ts";
import type { ChoiceOutcomes } from "./multiple-choice.ts";
import { summarizeChoice, summarizeText } from "./result.ts";
import type { TaskResult } from "./result.ts";
import type { PreparedSequences, ReferenceStates, ScoringModel } from "./scoring-model.ts";
import type { TaskRows } from "./read-tasks.ts";
import { encodeTexts } from "./text-tasks.ts";
import { textOutcomes } from "./text-quality.ts";
import type { TextOutcomes } from "./text-quality.ts";

/** A middle to be evaluated. */
export interface Candidate {
  /** For messages. */
  readonly label: string;
  /** The middle for a task: its expert's, or the same for all. Asked for once per task. */
  middleFor(task: string): Promise<StageModel>;
}

export interface EvaluateOptions {
  readonly tokenizer: Pick<Tokenizer, "encode" | "eosTokenIds">;
  readonly encoder: CorpusEncoder;
  /** Tokens that the model can read. */
  readonly contextLength: number;
  /** Most sequences of a text task. */
  readonly maxRows: number;
  /** Count prompts too. @default false */
  readonly wholeText?: boolean;
  readonly onProgress?: (progress: EvaluationProgress) => void;
  /** Ends the run after the batch it is at, with its reason. */
  readonly signal?: AbortSignal;
}

export interface EvaluationProgress {
  readonly task: string;
  readonly label: string;
  /** Tokens read of the task by this candidate. */
  readonly done: number;
  readonly total: number;
}

type Outcomes = ChoiceOutcomes | TextOutcomes;

/**
 * Every task by every candidate, task after task, so that all share what the trunk made of the task's rows. One middle
 * is loaded at a time.
 * @param dense what the others are compared with
 * @returns results of dense, then of each candidate, in the order of the tasks
 * @throws EvaluationError for a task without rows, CalibrationError, CorpusError, and the signal's reason
 */
export async function evaluate(
  model: ScoringModel,
  tasks: readonly TaskRows[],
  dense: Candidate,
  candidates: readonly Candidate[],
  options: EvaluateOptions,
): Promise<TaskResult[][]> {
  const results: TaskResult[][] = [dense, ...candidates].map(() => []);
  for (const task of tasks) {
    const prepared = prepare(model, task, options);
    const reference = await scoreCandidate(model, task, prepared, dense, options);
    results[0]!.push(summarize(task, reference.outcomes, null));
    for (const [index, candidate] of candidates.entries()) {
      const states = task.kind === "text" ? reference.states : undefined;
      const { outcomes } = await scoreCandidate(model, task, prepared, candidate, options, states);
      results[index + 1]!.push(summarize(task, outcomes, reference.outcomes));
    }
  }
  return results;
}

function prepare(
  model: ScoringModel,
  task: TaskRows,
  { tokenizer, encoder, contextLength, maxRows, wholeText = false }: EvaluateOptions,
): PreparedSequences {
  const { eosTokenIds } = tokenizer;
  const groups =
    task.kind === "choice"
      ? encodeQuestions(tokenizer, task.questions, contextLength)
      : encodeTexts(task.texts, encoder, { wholeText, eosTokenIds, maxRows }).map((sequence) => [
          sequence,
        ]);
  if (groups.length === 0) {
    throw new EvaluationError(`Task ${task.name} has no rows, expected at least one.`);
  }
  return model.prepare(groups);
}

async function scoreCandidate(
  model: ScoringModel,
  task: TaskRows,
  prepared: PreparedSequences,
  candidate: Candidate,
  { onProgress, signal }: EvaluateOptions,
  reference?: ReferenceStates,
): Promise<{ readonly outcomes: Outcomes; readonly states: ReferenceStates }> {
  const { label } = candidate;
  const middle = await model.loadMiddle(await candidate.middleFor(task.name));
  try {
    const { scores, states } = await model.score(prepared, middle, {
      ...(reference && { reference }),
      ...(signal && { signal }),
      onProgress: (done, total) => onProgress?.({ task: task.name, label, done, total }),
    });
    const outcomes =
      task.kind === "choice" ? judgeChoices(task.questions, scores) : textOutcomes(scores);
    return { outcomes, states };
  } finally {
    await middle.release();
  }
}

function summarize(task: TaskRows, outcomes: Outcomes, dense: Outcomes | null): TaskResult {
  return task.kind === "choice"
    ? summarizeChoice(task, outcomes as ChoiceOutcomes, dense as ChoiceOutcomes | null)
    : summarizeText(task.name, outcomes as TextOutcomes, dense as TextOutcomes | null);
}
