import { writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import type { ExecutionContext } from "ava";
import { choiceTasks } from "../../../prune/evaluation/choice-tasks.ts";
import { EvaluationError } from "../../../prune/tasks/errors.ts";
import { judgeChoices } from "../../../prune/evaluation/multiple-choice.ts";
import { encodePair } from "../../../prune/scoring/pair-encoding.ts";
import { tempDir } from "../../helpers/temp-dir.ts";

/** A token per character; "ab" is one token. */
const tokenizer = {
  encode: (text: string) =>
    Uint32Array.from(text.match(/ab|[^]/g) ?? [], (piece) =>
      piece === "ab" ? 1000 : piece.codePointAt(0)!,
    ),
};

const codes = (text: string): number[] => [...tokenizer.encode(text)];

/** A file of one row, which has an id and an answer. */
function writeRow(t: ExecutionContext, task: string, row: object): string {
  const dataDir = tempDir(t);
  const line = JSON.stringify({ id: "row-1", answer: 1, ...row });
  writeFileSync(join(dataDir, `${task}.eval.jsonl`), `${line}\n\n`);
  return dataDir;
}

function questionOf(t: ExecutionContext, name: string, row: object) {
  const task = choiceTasks.find((candidate) => candidate.name === name)!;
  const dataDir = writeRow(t, name, row);
  return task.readQuestions({ dataDir, maxRows: 5 })[0]!;
}

test("acc takes the likeliest choice, acc_norm the likeliest by character", (t) => {
  const question = {
    id: "a",
    pairs: [
      { context: "c", continuation: " no" },
      { context: "c", continuation: " a long one" },
    ],
    choiceLengths: [2, 10],
    answer: 1,
  };
  const { acc, accNorm } = judgeChoices(
    [question, { ...question, answer: 0 }],
    [{ logProb: -4 }, { logProb: -6 }, { logProb: -4 }, { logProb: -6 }],
  );
  t.deepEqual([...acc], [0, 1]);
  t.deepEqual([...accNorm], [1, 0]);
});

test("of equally likely choices the first is the answer", (t) => {
  const pairs = [1, 2].map(() => ({ context: "", continuation: " x" }));
  const question = { id: "a", pairs, choiceLengths: [1, 1], answer: 0 };
  t.is(judgeChoices([question], [{ logProb: -1 }, { logProb: -1 }]).acc[0], 1);
});

test("context and continuation are encoded together and split where the context alone ends", (t) => {
  const { tokenIds, firstScored } = encodePair(
    tokenizer,
    { context: "xa", continuation: "by" },
    99,
  );
  t.deepEqual([...tokenIds], codes("xaby"));
  t.is(tokenIds.length, 3);
  t.is(firstScored, 2);
});

test("blanks at the end of the context go to the continuation", (t) => {
  const { tokenIds, firstScored } = encodePair(
    tokenizer,
    { context: "x: ", continuation: "y" },
    99,
  );
  t.deepEqual([...tokenIds], codes("x: y"));
  t.is(firstScored, 2);
});

test("a context that is too long loses its beginning", (t) => {
  const pair = { context: "0123456789", continuation: " z" };
  const { tokenIds, firstScored } = encodePair(tokenizer, pair, 4);
  t.deepEqual([...tokenIds], codes("789 z"));
  t.is(firstScored, 3);
});

test("winogrande puts both names into the gap and asks for the rest of the sentence", (t) => {
  const sentence = "The cup fell off the shelf as _ was tilted. ";
  const { pairs, answer } = questionOf(t, "winogrande", { sentence, choices: ["cup", "shelf"] });
  t.is(answer, 1);
  t.deepEqual(pairs, [
    { context: "The cup fell off the shelf as cup", continuation: " was tilted." },
    { context: "The cup fell off the shelf as shelf", continuation: " was tilted." },
  ]);
});

test("boolq has title, passage and question as context, and no before yes", (t) => {
  const row = { title: "T", passage: "P.", question: "is it", choices: ["no", "yes"] };
  const context = "T -- P.\nQuestion: is it?\nAnswer:";
  t.deepEqual(questionOf(t, "boolq", row).pairs, [
    { context, continuation: " no" },
    { context, continuation: " yes" },
  ]);
});

test("arc, piqa, hellaswag and openbookqa have the prompts of lm-evaluation-harness", (t) => {
  const choices = ["one", "zwö"];
  const contexts = {
    arc_easy: [{ question: "Q?" }, "Question: Q?\nAnswer:"],
    arc_challenge: [{ question: "Q?" }, "Question: Q?\nAnswer:"],
    piqa: [{ goal: "G" }, "Question: G\nAnswer:"],
    hellaswag: [{ query: "Cooking: A man" }, "Cooking: A man"],
    openbookqa: [{ question_stem: "Rain" }, "Rain"],
  } as const;
  for (const [name, [row, context]] of Object.entries(contexts)) {
    const { pairs, choiceLengths } = questionOf(t, name, { ...row, choices });
    t.deepEqual(
      pairs,
      choices.map((choice) => ({ context, continuation: ` ${choice}` })),
    );
    t.deepEqual(choiceLengths, [3, 3]);
  }
});

test("a row of another form is refused with file, line and field", (t) => {
  const error = t.throws(() => questionOf(t, "piqa", { goal: 3, choices: ["a", "b"] }), {
    instanceOf: EvaluationError,
  });
  t.regex(error.message, /piqa\.eval\.jsonl:1: goal: /);
  const outside = { goal: "g", choices: ["a", "b"], answer: 2 };
  t.throws(() => questionOf(t, "piqa", outside), { message: /index of a choice/ });
});

test("a missing file is named", (t) => {
  const options = { dataDir: tempDir(t), maxRows: 1 };
  t.throws(() => choiceTasks[0]!.readQuestions(options), { message: /winogrande\.eval\.jsonl/ });
});
