import test from "ava";
import { ReasoningParser } from "../../../server/generation/reasoning-parser.ts";

/** Reasoning and text of an answer that comes in these pieces. */
function parse(chunks: readonly string[], isOpen: boolean): [reasoning: string, text: string] {
  const parser = new ReasoningParser(isOpen);
  const pieces = [...chunks.flatMap((chunk) => parser.push(chunk)), ...parser.end()];
  const joined = (kind: string) =>
    pieces.flatMap((piece) => (piece.kind === kind ? piece.text : [])).join("");
  return [joined("reasoning"), joined("text")];
}

for (const [name, text, expected, isOpen = false] of [
  ["a text alone", "Hi <think>hm</think>", ["", "Hi <think>hm</think>"]],
  ["a text that begins with blanks", " \n Hi", ["", " \n Hi"]],
  ["a text that could have been a tag", "<thin", ["", "<thin"]],
  [
    "reasoning and text",
    "<think>\nA < b.\n\n</thin> \n</think>\n\nHi \n</think>",
    ["A < b.\n\n</thin>", "Hi \n</think>"],
  ],
  ["blanks before the tag", "\n<think>a</think>b", ["a", "b"]],
  ["nothing thought", "<think>\n\n</think>\n\nHi", ["", "Hi"]],
  ["reasoning that is cut off", "<think>\nso far \n", ["so far", ""]],
  ["reasoning that is cut off in its end", "<think>so </thi", ["so </thi", ""]],
  ["reasoning without a text", "<think>so</think>\n", ["so", ""]],
  ["reasoning that the prompt began", "so\n</think>\nHi", ["so", "Hi"], true],
  ["reasoning that is begun twice", "\n<think>\nso</think>Hi", ["so", "Hi"], true],
  ["reasoning that the prompt began and nothing ends", " so <think", ["so <think", ""], true],
  ["what could have been a second tag", "<thi", ["<thi", ""], true],
] as const) {
  test(`however it is split, ${name} is taken apart in the same way`, (t) => {
    t.deepEqual(parse([text], isOpen), [...expected]);
    t.deepEqual(parse([...text], isOpen), [...expected]);
    for (let at = 0; at < text.length; at++) {
      t.deepEqual(parse([text.slice(0, at), text.slice(at)], isOpen), [...expected]);
    }
  });
}

test("it is known in between whether reasoning comes next", (t) => {
  const parser = new ReasoningParser(false);
  const seen = ["", "<think>", "a", "</think>", "b"].map((text) => {
    parser.push(text);
    return parser.isReasoning;
  });
  t.deepEqual(seen, [false, true, true, false, false]);
  t.true(new ReasoningParser(true).isReasoning);
});
