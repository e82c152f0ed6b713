import test from "ava";
import { LooseCallParser } from "../../../server/tools/loose-call-parser.ts";
import { ToolCallParser } from "../../../server/tools/tool-call-parser.ts";
import type { ToolPiece } from "../../../server/tools/tool-call-format.ts";

const names = ["get_weather", "add"];

/** What a parser tells of a text in pieces of some length, neighbouring texts joined. */
function told(parser: Pick<LooseCallParser, "push" | "end">, text: string, size: number) {
  const pieces: ToolPiece[] = [];
  for (let at = 0; at < text.length; at += size)
    pieces.push(...parser.push(text.slice(at, at + size)));
  pieces.push(...parser.end());
  return pieces.reduce<string[]>((all, piece) => {
    const label = piece.kind === "call" ? `call ${piece.name}` : `${piece.kind} ${piece.text}`;
    if (piece.kind === "text" && all.at(-1)?.startsWith("text ")) {
      all[all.length - 1] += piece.text;
      return all;
    }
    return [...all, label];
  }, []);
}

const weather = '{"city": "Oslo", "unit": {"a}": [1, "\\"]"]}}';

const cases: readonly (readonly [text: string, expected: readonly string[]])[] = [
  [
    '```json\n{\n  "name": "get_weather",\n  "arguments": {\n    "city": "Lisbon"\n  }\n}\n```',
    ["call get_weather", 'arguments {\n    "city": "Lisbon"\n  }'],
  ],
  [
    `{"name": "get_weather", "parameters": ${weather}}`,
    ["call get_weather", `arguments ${weather}`],
  ],
  [
    `{"name": "add", "parameters": {}}; {"name": "add", "parameters": {"a": 1}}`,
    ["call add", "arguments {}", "call add", 'arguments {"a": 1}'],
  ],
  [
    `\`\`\`\n{"name": "add", "arguments": {}}\n{"name": "add", "arguments": {}}\n\`\`\``,
    ["call add", "arguments {}", "call add", "arguments {}"],
  ],
  ['{"name": "unknown", "arguments": {}}', ['text {"name": "unknown", "arguments": {}}']],
  ['{"name": "add", "arguments": {"a": 1}', ['text {"name": "add", "arguments": {"a": 1}']],
  ['{"name": "add", "arguments": {"a": }}', ['text {"name": "add", "arguments": {"a": }}']],
  [
    '{"name": "add", "arguments": {"a": 1}, "more": 2}',
    ['text {"name": "add", "arguments": {"a": 1}, "more": 2}'],
  ],
  ["```json\n[1]\n```", ["text ```json\n[1]\n```"]],
  ["```js\nx\n```", ["text ```js\nx\n```"]],
  ["The sum is {4}.", ["text The sum is {4}."]],
  ["", []],
];

test("calls without tags are taken where they are whole and of a tool, however the text is split", (t) => {
  for (const [text, expected] of cases) {
    for (let size = 1; size <= text.length + 1; size++) {
      t.deepEqual(
        told(new LooseCallParser(names, true), text, size),
        expected,
        `${text} by ${size}`,
      );
    }
  }
});

test("one call alone is taken where several are not wanted", (t) => {
  const text = '{"name": "add", "parameters": {}}; {"name": "add", "parameters": {"a": 1}}';
  t.deepEqual(told(new LooseCallParser(names, false), text, 7), ["call add", "arguments {}"]);
});

test("calls in tags are still calls, and the text before them too", (t) => {
  const text = 'First this.\n<tool_call>\n{"name": "add", "arguments": {"a": 1}}\n</tool_call>';
  for (const size of [1, 5, 100]) {
    const parts = told(new ToolCallParser({ names }), text, size);
    t.is(parts[0], "text First this.");
    t.is(parts[1], "call add");
    t.is(
      parts
        .slice(2)
        .map((part) => part.replace("arguments ", ""))
        .join(""),
      '{"a": 1}',
    );
  }
});

test("text that may become a call for long is given up in time", (t) => {
  const start = performance.now();
  const parser = new LooseCallParser(names, true);
  for (let i = 0; i < 5000; i++) parser.push(" ".repeat(20));
  parser.end();
  t.true(performance.now() - start < 20_000);
});
