import { writeFileSync } from "node:fs";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { createChatTemplate } from "../../../model/text/chat-template.ts";
import { createTokenizer } from "../../../model/text/tokenizer.ts";
import { openModel } from "../../../model/weights/open-model.ts";
import {
  type CorpusRow,
  parseCorpus,
  readCorpusFile,
  splitCorpus,
} from "../../../prune/tasks/corpus.ts";
import { CorpusEncoder } from "../../../prune/tasks/corpus-encoder.ts";
import { CorpusError } from "../../../prune/errors.ts";
import { tempDir } from "../../helpers/temp-dir.ts";
import { writeTinyGguf } from "../../helpers/tiny-gguf.ts";

const chat = (...turns: readonly (readonly [role: string, content: string])[]): CorpusRow => ({
  kind: "chat",
  messages: turns.map(([role, content]) => ({ role, content })),
});

test("prompts, conversations and texts are read, other fields and blank lines passed over", (t) => {
  const lines = [
    '{"prompt": "Hi", "response": "Hello", "id": 7}',
    "",
    '{"prompt": "Alone", "response": null}\r',
    '{"messages": [{"role": "system", "content": ""}, {"role": "user", "content": "Q"}]}',
    '{"text": "Once"}',
  ];
  t.deepEqual(parseCorpus("corpus", lines.join("\n")), [
    chat(["user", "Hi"], ["assistant", "Hello"]),
    chat(["user", "Alone"]),
    chat(["system", ""], ["user", "Q"]),
    { kind: "text", text: "Once" },
  ]);
});

const wrongLines: readonly (readonly [line: string, message: RegExp])[] = [
  ["{", /is not valid JSON/],
  ["[1]", /expected \{"prompt".*came an array/],
  ["7", /came 7/],
  ["{}", /came the fields none/],
  ['{"question": "Q", "answer": "A"}', /came the fields question, answer/],
  ['{"prompt": "P", "text": "T"}', /came the fields prompt, text/],
  ['{"prompt": 7}', /prompt: .*expected string/],
  ['{"prompt": "  "}', /prompt: expected text, came blank/],
  ['{"prompt": "P", "response": ""}', /response: expected text/],
  ['{"messages": []}', /messages: /],
  ['{"messages": [{"role": "user"}]}', /messages\.0\.content: .*expected string/],
];

for (const [line, message] of wrongLines) {
  test(`the error for ${line} names file, line and problem`, (t) => {
    const path = join(tempDir(t), "task.jsonl");
    writeFileSync(path, `{"text": "fine"}\n\n${line}\n`);
    const error = t.throws(() => readCorpusFile(path), { instanceOf: CorpusError, message });
    t.true(error.message.startsWith(`${path}:3: `), error.message);
  });
}

test("a corpus file that is absent or has no rows is an error", (t) => {
  const path = join(tempDir(t), "task.jsonl");
  t.throws(() => readCorpusFile(path), { instanceOf: CorpusError, message: /cannot be read/ });
  writeFileSync(path, "\n");
  t.throws(() => readCorpusFile(path), { instanceOf: CorpusError, message: /has no rows/ });
});

test("the side of a row follows from its content alone", (t) => {
  const rows = Array.from({ length: 2000 }, (_, i) => chat(["user", `Question ${i}`]));
  const { calibration, heldOut } = splitCorpus(rows, 0.1);
  t.is(calibration.length + heldOut.length, rows.length);
  t.true(heldOut.length > 150 && heldOut.length < 250, `${heldOut.length}`);
  const half = rows.filter((_, i) => i % 2 === 1).reverse();
  t.deepEqual(
    splitCorpus(half, 0.1).heldOut.reverse(),
    heldOut.filter((row) => half.includes(row)),
  );
  t.deepEqual(splitCorpus(rows, 0), { calibration: rows, heldOut: [] });
});

async function openEncoder(t: ExecutionContext) {
  const path = join(tempDir(t), "tiny.gguf");
  writeTinyGguf(path);
  const { weights, tokenizer: source } = await openModel(path);
  weights.close();
  const tokenizer = createTokenizer(source);
  const template = createChatTemplate(source, tokenizer);
  return { tokenizer, template, encoder: new CorpusEncoder(tokenizer, template) };
}

test("conversations go through the chat template as served", async (t) => {
  const { tokenizer, template, encoder } = await openEncoder(t);
  const asked = [{ role: "user", content: "Two and two?" }];
  const answered = [...asked, { role: "assistant", content: "Four" }];
  const [alone, full, text] = encoder.encode(
    [
      { kind: "chat", messages: asked },
      { kind: "chat", messages: answered },
      { kind: "text", text: "<|im_end|> is text" },
    ],
    { maxSequenceTokens: 512 },
  );
  const prompt = template.encode(asked, { addGenerationPrompt: true });
  t.deepEqual(alone, { tokenIds: prompt, numPromptTokens: prompt.length });
  t.deepEqual(full!.tokenIds, template.encode(answered, { addGenerationPrompt: false }));
  t.is(full!.numPromptTokens, prompt.length);
  t.deepEqual(text, {
    tokenIds: tokenizer.encode("<|im_end|> is text", { parseSpecial: false }),
    numPromptTokens: 0,
  });
});

test("conversations are cut off, texts go on in another sequence, all within the budget", async (t) => {
  const { tokenizer, encoder } = await openEncoder(t);
  const text = "word ".repeat(50);
  const ids = tokenizer.encode(text, { parseSpecial: false });
  const rows: CorpusRow[] = [
    chat(["user", text]),
    { kind: "text", text },
    { kind: "text", text: " " },
  ];
  const [cut, ...pieces] = encoder.encode(rows, { maxSequenceTokens: 16 });
  t.is(cut!.tokenIds.length, 16);
  t.is(cut!.numPromptTokens, 16);
  t.deepEqual(
    pieces.flatMap(({ tokenIds }) => [...tokenIds]),
    [...ids],
  );
  t.true(pieces.every(({ tokenIds }) => tokenIds.length <= 16));
  const budget = encoder.encode(rows, { maxSequenceTokens: 16, maxTokens: 40 });
  t.deepEqual(
    budget.map(({ tokenIds }) => tokenIds.length),
    [16, 16, 8],
  );
});
