import { z } from "zod";
import type { CorpusRow } from "../tasks/corpus.ts";
import type { TextPair } from "../scoring/pair-encoding.ts";
import { readRows } from "../tasks/task-rows.ts";
import type { RowsOptions } from "../tasks/task-rows.ts";

/** A question with choices, as it is put to the model. */
export interface ChoiceQuestion {
  readonly id: string;
  /** One for each choice. */
  readonly pairs: readonly TextPair[];
  /** Length of each choice in characters, by which acc_norm divides. */
  readonly choiceLengths: readonly number[];
  /** Index of the right choice. */
  readonly answer: number;
}

export interface ChoiceTask {
  readonly name: string;
  /** In the data folder: rows to evaluate with. */
  readonly fileNames: readonly string[];
  /** In the data folder: rows to calibrate with. */
  readonly corpusNames: readonly string[];
  /** What tables show of it. */
  readonly metric: "acc" | "acc_norm";
  /** @throws EvaluationError */
  readQuestions(options: RowsOptions): ChoiceQuestion[];
  /** Questions with their right answers, of the rows to calibrate with. @throws EvaluationError */
  readCorpus(options: RowsOptions): CorpusRow[];
}

const choiceFields = {
  id: z.string(),
  choices: z.array(z.string()).min(2),
  answer: z.int().min(0),
};

const hasAnswer = (row: { answer: number; choices: string[] }): boolean =>
  row.answer < row.choices.length;

interface ChoiceRow {
  readonly id: string;
  readonly choices: string[];
  readonly answer: number;
}

function choiceTask<T extends z.ZodType<ChoiceRow>>(
  name: string,
  metric: ChoiceTask["metric"],
  schema: T,
  pairsOf: (row: z.infer<T>) => TextPair[],
): ChoiceTask {
  const checked = schema.refine(hasAnswer, { message: "answer: expected the index of a choice" });
  const fileName = `${name}.eval.jsonl`;
  const corpusName = `${name}.calib.jsonl`;
  return {
    name,
    fileNames: [fileName],
    corpusNames: [corpusName],
    metric,
    readQuestions: (options) =>
      readRows(fileName, checked, options).map((row) => ({
        id: row.id,
        pairs: pairsOf(row),
        choiceLengths: row.choices.map((choice) => Array.from(choice).length),
        answer: row.answer,
      })),
    readCorpus: (options) =>
      readRows(corpusName, checked, options).map((row) => {
        const { context, continuation } = pairsOf(row)[row.answer]!;
        return { kind: "text", text: context + continuation };
      }),
  };
}

/** The same context for all choices, a blank before each. */
function afterContext(context: string, { choices }: ChoiceRow): TextPair[] {
  return choices.map((choice) => ({ context, continuation: ` ${choice}` }));
}

const arcRow = z.object({ ...choiceFields, question: z.string() });
const arcPairs = (row: z.infer<typeof arcRow>): TextPair[] =>
  afterContext(`Question: ${row.question}\nAnswer:`, row);

/**
 * The seven tasks of the SEAP paper without examples, prompts and metrics as lm-evaluation-harness 0.4 has them. Their
 * files are `<name>.eval.jsonl`.
 */
export const choiceTasks: readonly ChoiceTask[] = [
  choiceTask(
    "winogrande",
    "acc",
    z.object({ ...choiceFields, sentence: z.string().includes("_") }),
    // Partial scoring: what comes after the gap is the same for both, what comes before differs.
    ({ sentence, choices }) => {
      const gap = sentence.indexOf("_");
      const continuation = ` ${sentence.slice(gap + 1).trim()}`;
      return choices.map((choice) => ({ context: sentence.slice(0, gap) + choice, continuation }));
    },
  ),
  choiceTask(
    "openbookqa",
    "acc_norm",
    z.object({ ...choiceFields, question_stem: z.string() }),
    (row) => afterContext(row.question_stem, row),
  ),
  choiceTask("hellaswag", "acc_norm", z.object({ ...choiceFields, query: z.string() }), (row) =>
    afterContext(row.query, row),
  ),
  choiceTask("piqa", "acc", z.object({ ...choiceFields, goal: z.string() }), (row) =>
    afterContext(`Question: ${row.goal}\nAnswer:`, row),
  ),
  choiceTask("arc_easy", "acc", arcRow, arcPairs),
  choiceTask("arc_challenge", "acc_norm", arcRow, arcPairs),
  choiceTask(
    "boolq",
    "acc",
    z.object({ ...choiceFields, title: z.string(), passage: z.string(), question: z.string() }),
    (row) =>
      afterContext(`${row.title} -- ${row.passage}\nQuestion: ${row.question}?\nAnswer:`, row),
  ),
];
