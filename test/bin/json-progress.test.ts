import test from "ava";
import { JsonProgress } from "../../bin/json-progress.ts";

test("a phase is told when it begins and from time to time, and every line", (t) => {
  let now = 0;
  const lines: string[] = [];
  const progress = new JsonProgress(
    (text) => lines.push(text),
    () => now,
  );
  progress.report("reading", 1, 4);
  progress.report("reading", 2, 4);
  progress.line("a word");
  now += 300;
  progress.report("reading", 3, 4);
  progress.report("writing", 5, 4);
  progress.end();
  progress.report("writing", 2, 4);
  t.deepEqual(lines, [
    '{"phase":"reading","share":0.25}\n',
    '{"line":"a word"}\n',
    '{"phase":"reading","share":0.75}\n',
    '{"phase":"writing","share":1}\n',
    '{"phase":"writing","share":0.5}\n',
  ]);
});
