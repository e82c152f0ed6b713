import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import type { ExecutionContext } from "ava";
import type { ChatTemplate } from "../../../model/chat-template.ts";
import { buildMiddle } from "../../../model/model-stages.ts";
import { denseShape } from "../../../model/stage-graph.ts";
import type { Tokenizer } from "../../../model/tokenizer.ts";
import { CorpusEncoder } from "../../../prune/corpus-encoder.ts";
import { splitCorpus } from "../../../prune/corpus.ts";
import type { CorpusRow } from "../../../prune/corpus.ts";
import { EvaluationError } from "../../../prune/evaluation/errors.ts";
import { evaluate } from "../../../prune/evaluation/evaluate.ts";
import type { TaskRows } from "../../../prune/evaluation/read-tasks.ts";
import type { TaskResult, TextResult } from "../../../prune/evaluation/result.ts";
import { ScoringModel } from "../../../prune/evaluation/scoring-model.ts";
import { encodeTexts, heldOutChatShare, textTasks } from "../../../prune/evaluation/text-tasks.ts";
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

test("code is half functions to write and half instructions", (t) => {
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
    ["def f():\n  pass", "def f():\n  pass", "print()"],
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

test("every task is measured by every candidate and compared with dense", async (t) => {
  const weights = tinyModel();
  const model = await ScoringModel.load(weights, { format: "f32", numThreads: 1 });
  t.teardown(() => model.release());
  const thin = [{ numHeads: 2, numKvHeads: 1, intermediateSize: 32 }];
  const full = denseShape(weights.config);
  const thinWeights = tinyModel({ layerShapes: [full, full, ...thin] });
  const asked: string[] = [];
  const candidate = (label: string, expert: boolean) => ({
    label,
    middleFor: (task: string) => {
      asked.push(`${label} ${task}`);
      const stage = expert
        ? buildMiddle(thinWeights, "f32", { name: label, shapes: thin })
        : buildMiddle(weights, "f32", { name: label });
      return Promise.resolve(stage);
    },
  });
  const tasks: TaskRows[] = [
    {
      kind: "choice",
      name: "quiz",
      metric: "acc",
      questions: ["abc", "hello"].map((context) => ({
        id: context,
        pairs: [" x", " yes"].map((continuation) => ({ context, continuation })),
        choiceLengths: [1, 3],
        answer: 0,
      })),
    },
    { kind: "text", name: "chat", texts: [answered("hi", "hello there"), answered("a", "bcd")] },
  ];
  const options = { tokenizer, encoder, contextLength: 64, maxRows: 10 };
  const candidates = [candidate("same", false), candidate("thin", true)];
  const [dense, same, thinned] = await evaluate(
    model,
    tasks,
    candidate("dense", false),
    candidates,
    options,
  );
  t.deepEqual(asked, [
    "dense quiz",
    "same quiz",
    "thin quiz",
    "dense chat",
    "same chat",
    "thin chat",
  ]);

  const [denseQuiz, denseChat] = [dense![0]!, textResult(t, dense![1])];
  t.is(denseQuiz.difference, null);
  t.is(denseQuiz.numRows, 2);
  t.is(denseChat.numTokens, 12 + 4);
  t.is(denseChat.kl, null);
  t.deepEqual(same![0]!.difference, { value: 0, low: 0, high: 0 });
  const sameChat = textResult(t, same![1]);
  t.true(Math.abs(sameChat.kl!.value) < 1e-6);
  t.is(sameChat.agreement!.value, 1);
  t.true(Math.abs(sameChat.difference!.value) < 1e-6);
  const thinChat = textResult(t, thinned![1]);
  t.true(thinChat.kl!.value > 0.01);
  const rise = thinChat.logPerplexity.value - denseChat.logPerplexity.value;
  t.true(Math.abs(thinChat.difference!.value - rise) < 1e-9);
});

test("a task without rows is refused by name", async (t) => {
  const weights = tinyModel();
  const model = await ScoringModel.load(weights, { format: "f32", numThreads: 1 });
  t.teardown(() => model.release());
  const options = { tokenizer, encoder, contextLength: 64, maxRows: 10 };
  const dense = { label: "dense", middleFor: () => Promise.reject(new Error("not reached")) };
  const tasks: TaskRows[] = [{ kind: "text", name: "poems", texts: [] }];
  const error = await t.throwsAsync(evaluate(model, tasks, dense, [], options), {
    instanceOf: EvaluationError,
  });
  t.regex(error.message, /poems/);
});
