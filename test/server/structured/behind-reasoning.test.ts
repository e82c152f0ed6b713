import test from "ava";
import { behindReasoning } from "../../../server/structured/behind-reasoning.ts";
import { toolGrammar } from "../../../server/structured/tool-grammar.ts";
import { callStart, callText } from "../../../server/tools/tool-call-text.ts";
import { accepter } from "../../helpers/grammar-texts.ts";

const list = [{ type: "function" as const, function: { name: "now" } }];
const call = callText("now", "{}");
const wrong = callText("other", "{}");

for (const isParallel of [true, false]) {
  const { grammar } = toolGrammar({ list, isRequired: false, isParallel }, list);
  const many = isParallel ? "several calls" : "one call";

  test(`what a model thinks is free, and what it then says may have ${many}`, (t) => {
    const accepts = accepter(behindReasoning(grammar, false));
    const thought = `<think>Is it ${wrong}, or ${callStart}?`;
    for (const text of ["", "Hi", "<think>", thought, call, `<think></think>${call}`]) {
      t.true(accepts(text), text);
    }
    t.true(accepts(`${thought}</think>So:\n${call}`));
    t.is(accepts(`${thought}</think>${call}\n${call}`), isParallel);
    for (const text of [wrong, `So </think>${wrong}`, `<think></think>${wrong}`]) {
      t.false(accepts(text), text);
    }
  });

  test(`where the prompt has begun the reasoning it is free at once, with ${many} behind`, (t) => {
    const accepts = accepter(behindReasoning(grammar, true));
    for (const text of ["", wrong, `${wrong}</think>`, `${wrong}</think>${call}`]) {
      t.true(accepts(text), text);
    }
    t.false(accepts(`</think>${wrong}`));
  });
}
