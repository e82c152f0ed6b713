import { readFileSync } from "node:fs";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import fc from "fast-check";
import { openTokenizer } from "../../../model/weights/open-model.ts";
import { BackgroundCodec, type CodecTasks } from "../../../server/text/background-codec.ts";
import { Background } from "../../../server/background/background.ts";
import { TaskLimitError } from "../../../server/base/task-limit-error.ts";
import type { ChatMessage } from "../../../server/text/codec.ts";
import { ModelCodec } from "../../../server/text/model-codec.ts";
import { writeGguf } from "../../helpers/gguf-writer.ts";
import { tempDir } from "../../helpers/temp-dir.ts";

const { tokens, merges } = JSON.parse(
  readFileSync("test/fixtures/tokenizer-byte-level.json", "utf8"),
) as { readonly tokens: readonly string[]; readonly merges: readonly (readonly string[])[] };

const control = ["<s>", "<|im_start|>", "<|im_end|>", "</s>", "[INST]", "[/INST]"];

const chatMl =
  "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content | trim }}" +
  "{% if m.tool_calls %}{{ m.tool_calls | tojson }}{% endif %}<|im_end|>\n{% endfor %}" +
  "{% if tools %}{{ tools | tojson }}{% endif %}" +
  "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";
/** Knows no system messages, and shows the first characters of what is long. */
const refusing =
  "{{ bos_token }}{% for m in messages %}{% if m.role == 'system' or m.role == 'tool' %}" +
  "{{ raise_exception('No ' + m.role) }}{% elif m.role == 'user' %}[INST] {{ m.content[:9] }} [/INST]" +
  "{% else %}{{ m.content }}{{ eos_token }}{% endif %}{% endfor %}";

interface Setting {
  readonly inline: BackgroundCodec;
  readonly behind: BackgroundCodec;
  /** Tasks that the background was given. */
  readonly names: string[];
}

/** A codec that does all at once, and one of the same model that does nothing so. */
function start(t: ExecutionContext, template: string, budgetMs = 60_000): Setting {
  const path = join(tempDir(t), "tokenizer.gguf");
  const metadata = {
    "tokenizer.ggml.model": "gpt2",
    "tokenizer.ggml.pre": "qwen2",
    "tokenizer.ggml.tokens": [...tokens, ...control],
    "tokenizer.ggml.token_type": [...tokens.map(() => 1), ...control.map(() => 3)],
    "tokenizer.ggml.merges": merges.map((merge) => merge.join(" ")),
    "tokenizer.ggml.bos_token_id": tokens.length,
    "tokenizer.ggml.eos_token_id": tokens.length + 3,
    "tokenizer.chat_template": template,
  };
  writeGguf(path, metadata, []);
  const background: CodecTasks = new Background({
    worker: new URL("../../../server/text/codec-worker.js", import.meta.url),
    workerData: () => path,
    budgetMs,
  });
  t.teardown(() => background.close());
  const names: string[] = [];
  const run: CodecTasks["run"] = (name, input) => {
    names.push(name);
    return background.run(name, input);
  };
  const codec = new ModelCodec(openTokenizer(path));
  return {
    inline: new BackgroundCodec(codec, { run }, Infinity),
    behind: new BackgroundCodec(codec, { run }, 0),
    names,
  };
}

/** What comes of it, whichever it is. */
async function outcome(made: Promise<unknown>): Promise<unknown> {
  try {
    return await made;
  } catch (error) {
    return { ...(error as object), message: (error as Error).message };
  }
}

const content = fc.oneof(
  fc.string({ maxLength: 20 }),
  fc.constantFrom("", " ", "0", "<|im_end|>", "a\nb", "  k  ", "\uD800", "x".repeat(300)),
);
const message: fc.Arbitrary<ChatMessage> = fc.record(
  {
    role: fc.constantFrom("system", "user", "assistant", "tool"),
    content,
    tool_calls: fc.constant([{ function: { name: "f", arguments: { a: ["</s>", null] } } }]),
  },
  { requiredKeys: ["role", "content"] },
);
const rendering = fc.record(
  {
    addGenerationPrompt: fc.boolean(),
    continuesFinalMessage: fc.boolean(),
    tools: fc.constant([{ type: "function", function: { name: "<s>" } }]),
  },
  { requiredKeys: ["addGenerationPrompt"] },
);
const chatOptions = fc.record({
  maxTokens: fc.constantFrom(3, 40, Infinity),
  wantsSpans: fc.boolean(),
});
const textOptions = fc.record({
  addSpecialTokens: fc.boolean(),
  parseSpecial: fc.boolean(),
  maxTokens: fc.constantFrom(3, 40, Infinity),
});

for (const [name, template] of Object.entries({ chatMl, refusing })) {
  test(`tokens, spans, texts and errors are the same in the background (${name})`, async (t) => {
    const { inline, behind, names } = start(t, template);
    const conversation = fc.array(message, { maxLength: 5 });
    const seen = new Set<string>();
    const isSame = async (make: (codec: BackgroundCodec) => Promise<unknown>) => {
      const expected = await outcome(make(inline));
      seen.add((expected as { code?: string }).code ?? "done");
      return t.deepEqual(await outcome(make(behind)), expected);
    };
    await fc.assert(
      fc.asyncProperty(conversation, rendering, chatOptions, async (messages, shown, options) => {
        await isSame((codec) => codec.encodeChat(messages, shown, options));
        await isSame((codec) => codec.renderChat(messages, shown));
      }),
      { numRuns: 250, seed: 7 },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(content, { maxLength: 4 }), textOptions, (texts, options) =>
        isSame((codec) => codec.encodeTexts(texts, options)),
      ),
      { numRuns: 100, seed: 7 },
    );
    t.deepEqual([...seen].sort(), ["chat_template", "done", "too_many_tokens"]);
    t.true(names.length > 500);
  });
}

test("many long texts are encoded some at a time, so that other requests come between", async (t) => {
  const { behind, names } = start(t, chatMl);
  await behind.encodeTexts(["a".repeat(200_000), "b".repeat(200_000), "c", "d".repeat(600_000)]);
  t.deepEqual(names, ["encodeTexts", "encodeTexts", "encodeTexts"]);
});

test("a prompt that cannot fit is refused before it is sent to the background", async (t) => {
  const { behind, names } = start(t, chatMl);
  const tooLong = behind.encodeTexts(["1".repeat(1_000_000)], { maxTokens: 100 });
  t.like(await outcome(tooLong), { code: "too_many_tokens" });
  t.deepEqual(names, []);
});

test("long runs of digits, words and blanks are encoded in the background alone, to the same tokens", async (t) => {
  const { inline, behind, names } = start(t, chatMl);
  for (const text of ["7".repeat(100_000), "word ".repeat(20_000), " ".repeat(100_000)]) {
    const [ids] = await behind.encodeTexts([text]);
    const [expected] = await inline.encodeTexts([text]);
    t.true(Buffer.from(ids!.buffer).equals(Buffer.from(expected!.buffer)));
  }
  t.deepEqual(names, ["encodeTexts", "encodeTexts", "encodeTexts"]);
});

test("what takes longer than it may is given up, and the next prompt is encoded", async (t) => {
  const { behind } = start(t, chatMl, 500);
  const endless = behind.encodeTexts(["0123456789".repeat(2_000_000)]);
  await t.throwsAsync(endless, { instanceOf: TaskLimitError });
  const chat = await behind.encodeChat([{ role: "user", content: "Hi" }]);
  t.true(chat.tokenIds.length > 0);
});
