import { join } from "node:path";
import test from "ava";
import fc from "fast-check";
import type { ExecutionContext } from "ava";
import { createChatTemplate } from "../../model/text/chat-template.ts";
import type { ChatTemplate, TemplateMessage } from "../../model/text/chat-template.ts";
import { openModel } from "../../model/weights/open-model.ts";
import { createTokenizer } from "../../model/text/tokenizer.ts";
import type { EncodedPieces, Tokenizer } from "../../model/text/tokenizer.ts";
import { findPromptSpans, wholePrompt } from "../../router/prompt-spans.ts";
import type { TokenSpan } from "../../router/prompt-spans.ts";
import { tempDir } from "../helpers/temp-dir.ts";
import { writeTinyGguf } from "../helpers/tiny-gguf.ts";

interface Setting {
  readonly tokenizer: Tokenizer;
  readonly template: ChatTemplate;
}

async function chatMl(t: ExecutionContext): Promise<Setting> {
  const path = join(tempDir(t), "tiny.gguf");
  writeTinyGguf(path);
  const { weights, tokenizer: source } = await openModel(path);
  weights.close();
  const tokenizer = createTokenizer(source);
  return { tokenizer, template: createChatTemplate(source, tokenizer) };
}

const options = { addGenerationPrompt: true };

function spans({ template, tokenizer }: Setting, messages: readonly TemplateMessage[]) {
  const tokenIds = template.encode(messages, options);
  const { question, previous } = findPromptSpans(template, messages, options, tokenIds);
  const text = (span: TokenSpan): string =>
    tokenizer.decode(tokenIds.subarray(span.start, span.end), { keepSpecial: true });
  return { question: text(question), previous: previous && text(previous), tokenIds };
}

const user = (content: string): TemplateMessage => ({ role: "user", content });
const assistant = (content: string): TemplateMessage => ({ role: "assistant", content });

test("the question is the last message of the user, without the template's own tokens", async (t) => {
  const setting = await chatMl(t);
  const system = { role: "system", content: "Be brief. What is a lake?" };
  const found = spans(setting, [system, user("What is a lake?")]);
  t.is(found.question, "What is a lake?");
  t.is(found.previous, null);
});

test("in a conversation the message before is found too, and answers are in neither", async (t) => {
  const setting = await chatMl(t);
  const messages = [user("One and one?"), assistant("Two."), user("And three?")];
  const found = spans(setting, messages);
  t.is(found.question, "And three?");
  t.is(found.previous, "One and one?");
});

test("messages that say the same, are short or begin as the probe does are told apart", async (t) => {
  const setting = await chatMl(t);
  for (const content of ["0", "Z", "0Z", "Zk0", "k", "a", "0 to Z and back to 0"]) {
    const found = spans(setting, [user(content), assistant(content), user(content)]);
    t.is(found.question, content);
    t.is(found.previous, content);
  }
});

test("answers and results of tools behind the question are left out", async (t) => {
  const setting = await chatMl(t);
  const messages = [
    user("Find a train."),
    assistant("Looking."),
    { role: "tool", content: "9:40" },
  ];
  t.is(spans(setting, messages).question, "Find a train.");
});

test("text of control tokens in a message belongs to the message", async (t) => {
  const setting = await chatMl(t);
  t.is(spans(setting, [user("<|im_end|> what is this?")]).question, "<|im_end|> what is this?");
});

test("without words of the user all of the prompt counts", async (t) => {
  const { template } = await chatMl(t);
  for (const messages of [[{ role: "system", content: "Hello." }], [user("  ")]]) {
    const tokenIds = template.encode(messages, options);
    t.deepEqual(
      findPromptSpans(template, messages, options, tokenIds),
      wholePrompt(tokenIds.length),
    );
  }
});

test("a template that repeats or refuses the probe does not fail the request", (t) => {
  const refusing: ChatTemplate = {
    text: "",
    render: () => "",
    encode: () => {
      throw new TypeError("a mistake in the program is not hidden");
    },
  };
  t.throws(() => findPromptSpans(refusing, [user("hi")], options, Uint32Array.of(1, 2)), {
    instanceOf: TypeError,
  });
});

test("what was encoded for the prompt is not encoded again, and the spans are the same", async (t) => {
  const { template } = await chatMl(t);
  const turns = fc.array(
    fc.record({
      role: fc.constantFrom("user", "assistant", "tool"),
      content: fc.oneof(
        fc.string({ maxLength: 20 }),
        fc.constantFrom("", " ", "0", "Z", "<|im_end|>", "a\nb", "  k  "),
      ),
    }),
    { minLength: 1, maxLength: 8 },
  );
  t.notThrows(() =>
    fc.assert(
      fc.property(turns, (messages) => {
        const known: EncodedPieces = new Map();
        const tokenIds = template.encode(messages, options, { known });
        const plain = template.encode(messages, options);
        const before = known.size;
        const found = findPromptSpans(template, messages, options, tokenIds, known);
        // Of each of the two probes the changed message is new, and no more than what touches it.
        if (known.size > before + 2) return false;
        const expected = findPromptSpans(template, messages, options, plain);
        return (
          tokenIds.join() === plain.join() && JSON.stringify(found) === JSON.stringify(expected)
        );
      }),
      { numRuns: 500 },
    ),
  );
});
