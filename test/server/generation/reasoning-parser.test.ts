import test from "ava";
import { opensReasoning, ReasoningParser } from "../../../server/generation/reasoning-parser.ts";

/** Both parts of a text that comes in pieces of some length. */
function parsed(text: string, size: number, isOpen = false) {
  const parser = new ReasoningParser(isOpen);
  const parts = { reasoning: "", answer: "" };
  const take = (pieces: ReturnType<ReasoningParser["push"]>) => {
    for (const piece of pieces) parts[piece.kind] += piece.text;
  };
  for (let at = 0; at < text.length; at += size) take(parser.push(text.slice(at, at + size)));
  take(parser.end());
  return [parts.reasoning, parts.answer];
}

const cases: readonly (readonly [
  text: string,
  reasoning: string,
  answer: string,
  isOpen?: boolean,
])[] = [
  ["<think>\nA sum.\n\nEasy.\n</think>\n\n4", "A sum.\n\nEasy.", "4"],
  ["<think>\n\n</think>\n\nHello", "", "Hello"],
  ["\n<think>a < b </b> </thin k></think>b", "a < b </b> </thin k>", "b"],
  ["Hello <think>not</think>", "", "Hello <think>not</think>"],
  ["<thinking", "", "<thinking"],
  ["<thi", "", "<thi"],
  ["<think>never done ", "never done", ""],
  ["<think>never done </thin", "never done </thin", ""],
  ["It is.\n</think>\n\n4 </think>", "It is.", "4 </think>", true],
  ["", "", ""],
  ["  ", "", "  "],
];

test("thoughts and answer are told apart however the text is split", (t) => {
  for (const [text, ...expected] of cases) {
    const [reasoning, answer, isOpen] = expected;
    for (let size = 1; size <= text.length + 1; size++) {
      t.deepEqual(parsed(text, size, isOpen), [reasoning, answer], `${text} by ${size}`);
    }
  }
});

test("a prompt that ends with the tag has begun the thoughts", (t) => {
  t.true(opensReasoning("<|im_start|>assistant\n<think>\n"));
  t.false(opensReasoning("<think>\n\n</think>\n\n"));
  t.false(opensReasoning("<|im_start|>assistant\n"));
});
