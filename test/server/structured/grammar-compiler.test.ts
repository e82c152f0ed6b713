import test from "ava";
import { TaskLimitError } from "../../../server/base/task-limit-error.ts";
import { compileGrammar } from "../../../server/structured/compile-grammar.ts";
import type { GrammarSource } from "../../../server/structured/compile-grammar.ts";
import { GrammarCompiler } from "../../../server/structured/grammar-compiler.ts";
import { startServer } from "../../helpers/start-server.ts";

type Run = ConstructorParameters<typeof GrammarCompiler>[0]["run"];

/** A background in the same thread, and what it was given. */
function inlineBackground() {
  const given: GrammarSource[] = [];
  const run = ((_name: string, source: GrammarSource) => {
    given.push(source);
    return Promise.resolve(compileGrammar(source));
  }) as Run;
  return { given, compiler: new GrammarCompiler({ run }) };
}

const pattern = (text: string): GrammarSource => ({
  field: "guided_regex",
  kind: "pattern",
  pattern: text,
});

test("short descriptions are compiled at once, long and multiplying ones in the background", async (t) => {
  const { given, compiler } = inlineBackground();
  await compiler.compile(pattern("[a-z]+"));
  t.is(given.length, 0);
  await compiler.compile(pattern("((x{1,9}){1,9}){1,9}"));
  await compiler.compile(pattern("x".repeat(2000)));
  t.is(given.length, 2);
});

test("a description is compiled once, also while it is on its way, and so is one that is wrong", async (t) => {
  const { given, compiler } = inlineBackground();
  const source = pattern("x{1,90}");
  const [first, second] = await Promise.all([compiler.compile(source), compiler.compile(source)]);
  t.is(first, second);
  t.is(await compiler.compile(structuredClone(source)), first);
  t.is(given.length, 1);
  const wrong = pattern("x{3,1}");
  for (let i = 0; i < 2; i++) {
    await t.throwsAsync(compiler.compile(wrong), { message: /^guided_regex: .*\{3,1\}/ });
  }
  t.is(given.length, 2);
});

test("what takes too long is an error that names the field, and is not tried again", async (t) => {
  let tries = 0;
  const run = (() => {
    tries++;
    return Promise.reject(new TaskLimitError("2000 ms"));
  }) as Run;
  const compiler = new GrammarCompiler({ run });
  for (let i = 0; i < 2; i++) {
    const error = await t.throwsAsync(compiler.compile(pattern("x{1,90}")));
    t.like(error, { code: "invalid_request", param: "guided_regex" });
    t.regex(error.message, /takes too long to compile/);
  }
  t.is(tries, 1);
});

test("a description of too many characters is refused", async (t) => {
  const { given, compiler } = inlineBackground();
  await t.throwsAsync(compiler.compile(pattern("x".repeat(3_000_000))), {
    message: /guided_regex: expected at most 2097152 characters/,
  });
  t.is(given.length, 0);
});

test("E11: while a large enumeration is compiled, others are answered", async (t) => {
  const { post, get, engine } = await startServer(t);
  let isDone = false;
  const values = Array.from({ length: 15_000 }, (_, i) => `value ${i}`);
  const messages = [{ role: "user", content: "Hi" }];
  const schema = { type: "string", enum: values };
  const answered = post("/v1/chat/completions", { messages, json_schema: schema }).finally(() => {
    isDone = true;
  });
  t.is((await get("/health")).status, 200);
  t.false(isDone);
  t.is((await answered).status, 200);
  t.truthy(engine.requests[0]?.grammar);
});
