import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import type { ExecutionContext } from "ava";
import { ArtifactStore } from "../../../model/experts/artifact-store.ts";
import type { ChatTemplate } from "../../../model/text/chat-template.ts";
import { createExpertPlan } from "../../../model/experts/expert-plan.ts";
import { buildMiddle, totalBytes } from "../../../model/stages/model-stages.ts";
import { denseShape } from "../../../model/weights/layer-spec.ts";
import type { Tokenizer } from "../../../model/text/tokenizer.ts";
import { CorpusEncoder } from "../../../prune/tasks/corpus-encoder.ts";
import { splitCorpus } from "../../../prune/tasks/corpus.ts";
import type { CorpusRow } from "../../../prune/tasks/corpus.ts";
import { EvaluationError } from "../../../prune/tasks/errors.ts";
import { encodeTask } from "../../../prune/evaluation/encode-task.ts";
import { evaluate } from "../../../prune/evaluation/evaluate.ts";
import type {
  Candidate,
  EvaluateOptions,
  EvaluationProgress,
} from "../../../prune/evaluation/evaluate.ts";
import { MeasurementStore } from "../../../prune/evaluation/measurement-store.ts";
import { distinctPlans, methodResult } from "../../../prune/evaluation/method-result.ts";
import type { TaskRows } from "../../../prune/evaluation/read-tasks.ts";
import type { TaskResult, TextResult } from "../../../prune/evaluation/result.ts";
import { ScoringModel } from "../../../prune/scoring/scoring-model.ts";
import { encodeTexts, heldOutChatShare, textTasks } from "../../../prune/tasks/text-tasks.ts";
import { tempDir } from "../../helpers/temp-dir.ts";
import { tinyModel } from "../../helpers/tiny-model.ts";

const endOfTurn = 2;
const lineFeed = 10;
const codes = (text: string): number[] => Array.from(text, (char) => char.charCodeAt(0) % 256);

/** A token per character. */
const tokenizer: Pick<Tokenizer, "encode" | "eosTokenIds"> = {
  encode: (text) => Uint32Array.from(codes(text)),
  eosTokenIds: [endOfTurn],
};

/** `1 <text> 2 \n` for each message, `1` for the answer to come. */
const template: Pick<ChatTemplate, "encode"> = {
  encode: (messages, { addGenerationPrompt }) =>
    Uint32Array.from([
      ...messages.flatMap(({ content }) => [1, ...codes(content), endOfTurn, lineFeed]),
      ...(addGenerationPrompt ? [1] : []),
    ]),
};
const encoder = new CorpusEncoder(tokenizer as Tokenizer, template as ChatTemplate);

function answered(prompt: string, response: string): CorpusRow {
  const messages = [
    { role: "user", content: prompt },
    { role: "assistant", content: response },
  ];
  return { kind: "chat", messages };
}

function writeRows(dataDir: string, fileName: string, rows: readonly object[]): void {
  mkdirSync(dataDir, { recursive: true });
  writeFileSync(join(dataDir, fileName), rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
}

function textsOf(t: ExecutionContext, name: string, files: Record<string, object[]>, maxRows = 4) {
  const dataDir = tempDir(t);
  for (const [fileName, rows] of Object.entries(files)) writeRows(dataDir, fileName, rows);
  return textTasks.find((task) => task.name === name)!.readTexts({ dataDir, maxRows });
}

function textResult(t: ExecutionContext, result: TaskResult | undefined): TextResult {
  if (result?.kind === "text") return result;
  return t.fail("expected the result of a text");
}

test("of a conversation the answer counts with the token that ends it, not what the template adds", (t) => {
  const options = { eosTokenIds: [endOfTurn], maxRows: 9 };
  const [sequence] = encodeTexts([answered("ab", "xyz")], encoder, options);
  t.deepEqual([...sequence!.tokenIds], [1, ...codes("ab"), 2, 10, 1, ...codes("xyz"), 2]);
  t.is(sequence!.firstScored, 6);
  const [whole] = encodeTexts([answered("ab", "xyz")], encoder, { ...options, wholeText: true });
  t.is(whole!.firstScored, 1);
});

test("running text counts whole, in windows; an answer that is cut off does not count", (t) => {
  const rows: CorpusRow[] = [{ kind: "text", text: "abcdefg" }, answered("prompt", "answer")];
  const options = { eosTokenIds: [endOfTurn], maxRows: 9, maxSequenceTokens: 4 };
  const sequences = encodeTexts(rows, encoder, options);
  t.deepEqual(
    sequences.map(({ tokenIds, firstScored }) => [tokenIds.length, firstScored]),
    [
      [4, 1],
      [3, 1],
    ],
  );
});

test("gsm8k is read without its calculator marks", (t) => {
  const row = { question: "2 and 2?", answer: "2+2=<<2+2=4>>4\n#### 4" };
  const texts = textsOf(t, "gsm8k", { "gsm8k.eval.jsonl": [row] });
  t.deepEqual(texts, [answered("2 and 2?", "2+2=4\n#### 4")]);
});

test("code is half functions to write and half instructions, in turn", (t) => {
  const mbpp = { text: "Add.", code: "def f():\r\n  pass\r\n", test_list: ["assert f()"] };
  const alpaca = { prompt: "Say", response: "print()" };
  const texts = textsOf(
    t,
    "code",
    { "mbpp.eval.jsonl": [mbpp, mbpp, mbpp], "codealpaca.eval.jsonl": [alpaca, alpaca] },
    3,
  );
  t.deepEqual(
    texts.map((row) => (row.kind === "chat" ? row.messages.at(-1)!.content : "")),
    ["def f():\n  pass", "print()", "def f():\n  pass"],
  );
});

test("chats are those that a calibration on the other side of the split does not see", (t) => {
  const rows = Array.from({ length: 60 }, (_, i) => ({
    prompt: `question ${i}`,
    response: i % 2 ? `answer ${i}` : null,
  }));
  const texts = textsOf(t, "chat", { "chat.calib.jsonl": rows }, 100);
  const corpus = rows.flatMap(({ prompt, response }) =>
    response ? answered(prompt, response) : [],
  );
  t.true(texts.length > 0);
  t.deepEqual(texts, splitCorpus(corpus, heldOutChatShare).heldOut);
});

const weights = tinyModel();
const thinShapes = [{ numHeads: 2, numKvHeads: 1, intermediateSize: 32 }];

/** Two middles, of which one is dense, and a list of what was loaded. */
function candidates() {
  const full = denseShape(weights.config);
  const thinWeights = tinyModel({ layerShapes: [full, full, ...thinShapes] });
  const loaded: string[] = [];
  const candidate = (label: string, isThin: boolean): Candidate => ({
    label,
    middleFor: (task) =>
      Promise.resolve({
        key: label,
        load: () => {
          loaded.push(`${label} ${task}`);
          const stage = isThin
            ? buildMiddle(thinWeights, "f32", { name: label, shapes: thinShapes })
            : buildMiddle(weights, "f32", { name: label });
          const plan = isThin ? { ...thinPlan, task } : null;
          const buildSeconds = isThin ? 1.5 : null;
          return Promise.resolve({
            segments: [stage],
            plan,
            sizeBytes: totalBytes([stage]),
            buildSeconds,
          });
        },
      }),
  });
  return {
    loaded,
    dense: candidate("dense", false),
    same: candidate("same", false),
    thin: candidate("thin", true),
  };
}

const thinPlan = createExpertPlan(weights, {
  task: "quiz",
  recipe: {},
  layers: [
    { keptHeads: [0, 1], keptKvHeads: [0], keptChannels: Array.from({ length: 32 }, (_, i) => i) },
  ],
});

const quiz: TaskRows = {
  kind: "choice",
  name: "quiz",
  metric: "acc",
  questions: ["abc", "hello"].map((context) => ({
    id: context,
    pairs: [" x", " yes"].map((continuation) => ({ context, continuation })),
    choiceLengths: [1, 3],
    answer: 0,
  })),
};
const chat: TaskRows = {
  kind: "text",
  name: "chat",
  texts: [answered("hi", "hello there"), answered("a", "bcd")],
};
const sums: TaskRows = {
  kind: "generation",
  name: "sums",
  problems: [
    { question: "2 and 2?", final: "4" },
    { question: "2 and 3?", final: "5" },
  ],
};

const encodeOptions = { tokenizer, encoder, contextLength: 1024, maxRows: 10 };
const encoded = (...tasks: TaskRows[]) => tasks.map((task) => encodeTask(task, encodeOptions));

/** What evaluation needs, with a store of its own and a model that counts its scorings. */
async function setUp(t: ExecutionContext) {
  const model = await ScoringModel.load(weights, { format: "f32", numThreads: 1 });
  t.teardown(() => model.release());
  const store = new ArtifactStore(tempDir(t));
  const lines: string[] = [];
  const progress: EvaluationProgress[] = [];
  const options: EvaluateOptions = {
    measurements: new MeasurementStore(store, (line) => lines.push(line)),
    modelHash: weights.contentHash,
    format: "f32",
    scoringModel: () => Promise.resolve(model),
    answerGenerator: () =>
      Promise.resolve({
        open: ([first]) =>
          Promise.resolve({
            generate: () =>
              Promise.resolve(first!.spec.name === "thin" ? "#### 5" : "So 4.\n#### 4"),
            close: () => Promise.resolve(),
          }),
      }),
    onProgress: (event) => progress.push(event),
  };
  return { options, store, lines, progress };
}

test("every task is measured by every candidate and compared with dense", async (t) => {
  const { options } = await setUp(t);
  const { dense, same, thin, loaded } = candidates();
  const tasks = encoded(quiz, chat, sums);
  const measured = await evaluate(tasks, dense, [same, thin], options);
  t.deepEqual(loaded, [
    ...["dense quiz", "same quiz", "thin quiz"],
    ...["dense chat", "same chat", "thin chat"],
    ...["dense sums", "same sums", "thin sums"],
  ]);
  const [denseResult, sameResult, thinResult] = measured.map((row, index) =>
    methodResult(
      { name: "method", sparsityTarget: index === 2 ? 0.5 : null },
      tasks,
      row,
      index === 0 ? null : measured[0]!,
    ),
  );
  const [denseQuiz, denseText] = denseResult!.tasks;
  const denseChat = textResult(t, denseText);
  t.is(denseQuiz!.difference, null);
  t.is(denseQuiz!.numRows, 2);
  t.is(denseChat.numTokens, 12 + 4);
  t.is(denseChat.kl, null);
  t.deepEqual(sameResult!.tasks[0]!.difference, { value: 0, low: 0, high: 0 });
  const sameChat = textResult(t, sameResult!.tasks[1]);
  t.true(Math.abs(sameChat.kl!.value) < 1e-6);
  t.is(sameChat.agreement!.value, 1);
  t.true(Math.abs(sameChat.difference!.value) < 1e-6);
  const thinChat = textResult(t, thinResult!.tasks[1]);
  t.true(thinChat.kl!.value > 0.01);
  const rise = thinChat.logPerplexity.value - denseChat.logPerplexity.value;
  t.true(Math.abs(thinChat.difference!.value - rise) < 1e-9);
  const [denseSums, thinSums] = [denseResult!.tasks[2]!, thinResult!.tasks[2]!];
  t.true(denseSums.kind === "generation" && denseSums.strict.value === 0.5);
  t.is(thinSums.difference!.value, 0);
  t.deepEqual(thinResult!.trueSparsity, thinPlan.sparsity);
  t.is(thinResult!.buildSeconds, 1.5);
  t.deepEqual(
    distinctPlans(measured[2]!).map(({ task }) => task),
    ["quiz", "chat", "sums"],
  );
});

test("what was measured before is not measured again, and gives the same result", async (t) => {
  const { options, progress } = await setUp(t);
  const { dense, thin, loaded } = candidates();
  const tasks = encoded(quiz, chat, sums);
  const first = await evaluate(tasks, dense, [thin], options);
  const { tokensDone, tokensToDo } = progress.at(-1)!;
  t.true(tokensDone <= tokensToDo && tokensDone > 0);
  loaded.length = progress.length = 0;
  const second = await evaluate(tasks, dense, [thin], {
    ...options,
    scoringModel: () => Promise.reject(new Error("not needed")),
    answerGenerator: () => Promise.reject(new Error("not needed")),
  });
  t.deepEqual(loaded, []);
  t.deepEqual(second, first);
  t.is(progress.length, 6);
  t.true(progress.every(({ isKnown, tokensToDo: left }) => isKnown && left >= 0));
  t.is(progress.at(-1)!.tokensToDo, 0);
});

test("a candidate that comes later is compared with dense as it was", async (t) => {
  const tasks = encoded(quiz, chat);
  const together = await setUp(t);
  const { dense, same, thin } = candidates();
  const all = await evaluate(tasks, dense, [same, thin], together.options);
  const apart = await setUp(t);
  await evaluate(tasks, dense, [same], apart.options);
  const later = candidates();
  const added = await evaluate(tasks, later.dense, [later.same, later.thin], apart.options);
  t.deepEqual(added, all);
  // Dense again for the states of the text, but not for the choices.
  t.deepEqual(later.loaded, ["thin quiz", "dense chat", "thin chat"]);
});

test("other rows, another middle and another format are measured anew", async (t) => {
  const { options } = await setUp(t);
  const { dense, loaded } = candidates();
  await evaluate(encoded(chat), dense, [], options);
  t.deepEqual(loaded, ["dense chat"]);
  await evaluate(encoded({ ...chat, texts: chat.texts.slice(1) }), dense, [], options);
  t.is(loaded.length, 2);
  await evaluate(encoded(chat), dense, [], { ...options, format: "q8" });
  t.is(loaded.length, 3);
  const questions = quiz.questions.map((question) => ({ ...question, answer: 1 }));
  await evaluate(encoded(quiz, { ...quiz, questions }), dense, [], options);
  t.is(loaded.length, 5);
});

test("a damaged measurement is made again, and a line says so", async (t) => {
  const { options, store, lines } = await setUp(t);
  const { dense, loaded } = candidates();
  const first = await evaluate(encoded(quiz), dense, [], options);
  const [key] = await store.keys();
  writeFileSync(join(store.dir, key!, "metadata.json"), "{}");
  t.deepEqual(await evaluate(encoded(quiz), dense, [], options), first);
  t.is(loaded.length, 2);
  t.is(lines.length, 1);
  t.regex(lines[0]!, /measuring again/);
});

test("an evaluation that is ended keeps what was measured", async (t) => {
  const { options } = await setUp(t);
  const { dense, same, thin, loaded } = candidates();
  const controller = new AbortController();
  const onProgress = ({ label }: EvaluationProgress) => {
    if (label === "same") controller.abort(new Error("enough"));
  };
  const { signal } = controller;
  await t.throwsAsync(
    evaluate(encoded(quiz), dense, [same, thin], { ...options, signal, onProgress }),
    { message: "enough" },
  );
  loaded.length = 0;
  await evaluate(encoded(quiz), dense, [same, thin], options);
  t.deepEqual(loaded, ["thin quiz"]);
});

test("a task without rows is refused by name", (t) => {
  const error = t.throws(() => encoded({ kind: "text", name: "poems", texts: [] }), {
    instanceOf: EvaluationError,
  });
  t.regex(error.message, /poems/);
});
