import test from "ava";
import { promptViews } from "../../bin/router/prompt-views.ts";

const viewOf = (content: string): string | undefined =>
  promptViews([{ role: "user", content }])[1]!.at(-1)?.content;

test("an instruction before a text moves behind it, and one behind it before it", (t) => {
  const text = "The ferry was late. Nobody minded, as the sun was out and there was tea.";
  t.is(viewOf(`Sum up.\n\n${text}\n\n${text}`), `${text}\n\n${text}\n\nSum up.`);
  t.is(viewOf(`${text}\n\nWho minded?`), `Who minded?\n\n${text}`);
});

test("a short prompt is put as a question, once", (t) => {
  t.is(viewOf("What is a fjord?"), "Question: What is a fjord?\nAnswer:");
  t.is(viewOf("Question: What is a fjord?\nAnswer:"), "Question: What is a fjord?\nAnswer:");
});

test("the first view is the prompt itself, with the turns before it in both", (t) => {
  const messages = [
    { role: "user", content: "Hello" },
    { role: "assistant", content: "Hi" },
    { role: "user", content: "What is a fjord?" },
  ];
  const [same, other] = promptViews(messages);
  t.deepEqual(same, messages);
  t.deepEqual(other!.slice(0, 2), messages.slice(0, 2));
  t.is(promptViews(messages).length, 2);
});
