import { readdirSync, readFileSync } from "node:fs";
import { posix } from "node:path";
import test from "ava";
import ts from "typescript";

/** What users of other servers reported, each of which is tried here: D01 to D55. */
const serverReports = Array.from({ length: 55 }, (_, i) => `D${String(i + 1).padStart(2, "0")}`);

/** What clients and their libraries send without being asked. */
const clientDefaults = {
  E01: "references of JSON Schema through lists, to anchors and relative to an id",
  E02: "keywords of JSON Schema that can be decided, beside others",
  E03: "keywords that cannot: what is left is enforced, and the answer says what is not",
  E04: "two constraints on one string",
  E05: "tools without arguments",
  E06: "tools beside a form of the text",
  E07: "tools of other servers' own",
  E08: "items of the Responses API that this server does not make",
  E09: "parameters of llama.cpp, vLLM and Ollama: taken, or refused by name",
  E10: "wording that clients take errors apart by",
  E11: "grammars that take long to compile",
  E12: "signals while answering",
  E13: "model files in parts, in folders and of another byte order",
  E14: "small things: paths, limits of -1, empty stop strings, subprotocols",
} as const;

/** Titles of the tests in a file as they are written there, those of templates included. */
function testTitles(path: string, text: string): string[] {
  const titles: string[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isCallExpression(node) && /^test(\.serial)?$/.test(node.expression.getText())) {
      titles.push(node.arguments[0]!.getText());
    }
    ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true));
  return titles;
}

/** Ids in a title, which may be several. */
function idsIn(title: string): string[] {
  return title.match(/\b[DE]\d\d\b/g) ?? [];
}

/** Of all tests that `npm test` runs; ava runs in the project's root. */
function readTitles(): string[] {
  return readdirSync("test", { recursive: true, encoding: "utf8" })
    .map((name) => posix.join("test", name.replaceAll("\\", "/")))
    .filter((path) => path.endsWith(".test.ts") && !path.includes("node_modules"))
    .flatMap((path) => testTitles(path, readFileSync(path, "utf8")));
}

test("every report is tried by a test that has its id in its title, and no other id is there", (t) => {
  const tried = new Set(readTitles().flatMap(idsIn));
  const expected = [...serverReports, ...Object.keys(clientDefaults)];
  t.deepEqual([...tried].sort(), expected);
});

test("ids are found in titles of any kind, and nowhere else", (t) => {
  const text = `
    test("D01 D02: a", () => "D03");
    for (const x of []) test.serial(\`D04: \${x}\`, () => undefined);
    test.skip("D05", () => undefined);
    // test("D06")
    pretest("D07", "D123");
  `;
  t.deepEqual(testTitles("a.test.ts", text).flatMap(idsIn), ["D01", "D02", "D04"]);
});
