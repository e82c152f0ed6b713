import { writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import { parseConfig } from "../../../server/config/config.ts";
import { findRule, type RuleSubject } from "../../../server/config/rules.ts";
import { tempDir } from "../../helpers/temp-dir.ts";

function parse(routing: unknown) {
  return parseConfig({ args: ["--routing", JSON.stringify(routing)], env: {} }).config.routing;
}

function firstTask(rules: unknown, subject: Partial<RuleSubject>): string | undefined {
  return findRule(parse({ rules }).rules, {
    header: () => undefined,
    text: "",
    numPromptTokens: 10,
    ...subject,
  })?.task;
}

test("a header rule wants exactly the value", (t) => {
  const rules = [{ when: { header: { name: "X-Team", value: "data" } }, task: "math" }];
  const header = (value: string) => (name: string) => (name === "X-Team" ? value : undefined);
  t.is(firstTask(rules, { header: header("data") }), "math");
  t.is(firstTask(rules, { header: header("Data") }), undefined);
  t.is(firstTask(rules, {}), undefined);
});

test("keywords and patterns look at the user's words, in any case", (t) => {
  const keyword = [{ when: { keyword: "SELECT *" }, task: "code" }];
  t.is(firstTask(keyword, { text: "what does select * do" }), "code");
  t.is(firstTask(keyword, { text: "what does select do" }), undefined);
  const regex = [{ when: { regex: "^übersetze\\b" }, task: "translation" }];
  t.is(firstTask(regex, { text: "Übersetze das" }), "translation");
  t.is(firstTask(regex, { text: "Bitte übersetze das" }), undefined);
});

test("the prompt's length counts with both ends, either of which may be open", (t) => {
  const task = (promptTokens: object, numPromptTokens: number) =>
    firstTask([{ when: { promptTokens }, task: "reading" }], { numPromptTokens });
  t.is(task({ min: 10, max: 20 }, 10), "reading");
  t.is(task({ min: 10, max: 20 }, 20), "reading");
  t.is(task({ min: 10, max: 20 }, 21), undefined);
  t.is(task({ min: 10 }, 1e6), "reading");
  t.is(task({ max: 9 }, 10), undefined);
});

test("the first rule that fits decides", (t) => {
  const rules = [
    { when: { keyword: "b" }, task: "code" },
    { when: { keyword: "a" }, task: "math" },
    { when: { keyword: "a" }, task: "chat" },
  ];
  t.is(firstTask(rules, { text: "a" }), "math");
});

test("rules come from a configuration file as they are", (t) => {
  const file = join(tempDir(t), "seap.json");
  const routing = { rules: [{ when: { keyword: "sum" }, task: "math" }] };
  writeFileSync(file, JSON.stringify({ routing }));
  t.deepEqual(parseConfig({ args: ["--config", file], env: {} }).config.routing, routing);
});

for (const [title, routing, message] of [
  [
    "a condition of no kind",
    { rules: [{ when: {}, task: "a" }] },
    /rules\.0\.when: expected one of header, keyword, regex, promptTokens/,
  ],
  [
    "two conditions",
    { rules: [{ when: { keyword: "a", regex: "b" }, task: "a" }] },
    /rules\.0\.when: expected one of/,
  ],
  [
    "an unknown condition",
    { rules: [{ when: { user: "a" }, task: "a" }] },
    /rules\.0\.when: .*"user"/,
  ],
  [
    "a broken pattern",
    { rules: [{ when: { regex: "(" }, task: "a" }] },
    /rules\.0\.when\.regex: .*Unterminated group/,
  ],
  [
    "a range that ends before it begins",
    { rules: [{ when: { promptTokens: { min: 2, max: 1 } }, task: "a" }] },
    /rules\.0\.when\.promptTokens: expected min to be at most max/,
  ],
  ["no task", { rules: [{ when: { keyword: "a" } }] }, /rules\.0\.task: .*expected string/],
  ["rules that are no list", { rules: {} }, /rules: .*expected array/],
] as const) {
  test(`${title} is refused when the server starts`, (t) => {
    const error = t.throws(() => parse(routing));
    t.regex(error.message, /^--routing: /);
    t.regex(error.message, message);
  });
}

test("text that is not JSON is refused", (t) => {
  t.throws(() => parseConfig({ args: ["--routing", "math"], env: {} }), {
    message: /^--routing: expected JSON such as \{"rules": \[\]\}: /,
  });
});
