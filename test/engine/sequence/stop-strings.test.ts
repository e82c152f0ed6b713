import test from "ava";
import fc from "fast-check";
import { StopStrings } from "../../../engine/sequence/stop-strings.ts";

interface Outcome {
  readonly text: string;
  readonly stopped: boolean;
}

function run(stop: readonly string[], chunks: readonly string[]): Outcome {
  const stopStrings = new StopStrings(stop);
  let text = "";
  for (const chunk of chunks) {
    const pushed = stopStrings.push(chunk);
    text += pushed.text;
    if (pushed.stopped) return { text, stopped: true };
  }
  return { text: text + stopStrings.flush(), stopped: false };
}

/** The same by search in the whole text: the match that ends first, the longest of these. */
function plainCut(stop: readonly string[], text: string): Outcome {
  let end = Infinity;
  let start = Infinity;
  for (const string of stop) {
    const found = string === "" ? -1 : text.indexOf(string);
    if (found < 0) continue;
    const foundEnd = found + string.length;
    if (foundEnd < end || (foundEnd === end && found < start)) {
      end = foundEnd;
      start = found;
    }
  }
  return end === Infinity
    ? { text, stopped: false }
    : { text: text.slice(0, start), stopped: true };
}

test("the cut is where a plain search finds it, however text and stop strings are split", (t) => {
  const word = fc.string({ unit: fc.constantFrom("a", "b", "\n", "😀"), maxLength: 6 });
  t.notThrows(() =>
    fc.assert(
      fc.property(
        fc.array(word, { maxLength: 4 }),
        fc.array(word, { maxLength: 15 }),
        (stop, chunks) => {
          const { text, stopped } = run(stop, chunks);
          const expected = plainCut(stop, chunks.join(""));
          return text === expected.text && stopped === expected.stopped;
        },
      ),
      { numRuns: 5000 },
    ),
  );
});

test("nothing that a stop string may still begin with is sent (D03)", (t) => {
  const stopStrings = new StopStrings(["DEFGHIJ"]);
  t.deepEqual(stopStrings.push("ABCDEF"), { text: "ABC", stopped: false });
  t.deepEqual(stopStrings.push("GHI"), { text: "", stopped: false });
  t.deepEqual(stopStrings.push("JKL"), { text: "", stopped: true });
});

test("a stop string in two tokens does not leak its first (D04, D05)", (t) => {
  t.deepEqual(run(["\nUser:"], ["Hello", "\n", "User:", " hi"]), { text: "Hello", stopped: true });
  t.deepEqual(run(["beta gamma"], ["alpha ", "beta", " gam", "ma delta"]), {
    text: "alpha ",
    stopped: true,
  });
});

test("text of special tokens is cut like any other (D06)", (t) => {
  t.deepEqual(run(["<|im_end|>"], ["Bye<|", "im_", "end", "|>"]), { text: "Bye", stopped: true });
});

test("text that turned out not to be a stop string is sent at once", (t) => {
  const stopStrings = new StopStrings(["aab"]);
  t.deepEqual(stopStrings.push("xaa"), { text: "x", stopped: false });
  t.deepEqual(stopStrings.push("a"), { text: "a", stopped: false });
  t.deepEqual(stopStrings.push("c"), { text: "aac", stopped: false });
  t.is(stopStrings.flush(), "");
});

test("held text is sent at the end", (t) => {
  t.deepEqual(run(["</answer>"], ["yes</ans"]), { text: "yes</ans", stopped: false });
});

test("of overlapping stop strings the one that is complete first counts", (t) => {
  t.deepEqual(run(["abcd", "bc"], ["xabcd"]), { text: "xa", stopped: true });
  t.deepEqual(run(["c", "abc"], ["xabcd"]), { text: "x", stopped: true });
});

test("after the stop everything is swallowed", (t) => {
  const stopStrings = new StopStrings(["."]);
  t.deepEqual(stopStrings.push("a.b"), { text: "a", stopped: true });
  t.deepEqual(stopStrings.push("c"), { text: "", stopped: true });
  t.is(stopStrings.flush(), "");
});

test("without stop strings all text passes, also with empty ones", (t) => {
  for (const stop of [[], [""]]) {
    t.deepEqual(new StopStrings(stop).push("abc"), { text: "abc", stopped: false });
  }
});

test("a long, self-similar stop string in single characters takes linear time", (t) => {
  const start = process.cpuUsage();
  const stop = `${"ab".repeat(20_000)}c`;
  const chunks = [...`${"ab".repeat(60_000)}c`];
  t.deepEqual(run([stop], chunks), { text: "ab".repeat(40_000), stopped: true });
  t.true(process.cpuUsage(start).user < 5_000_000);
});

test("a stop string of half a million characters costs a few bytes each", (t) => {
  const stop = "ab".repeat(250_000);
  const before = process.memoryUsage();
  const start = process.cpuUsage();
  const stopStrings = new StopStrings([stop]);
  t.deepEqual(stopStrings.push(`x${stop.slice(1)}`), { text: "xb", stopped: false });
  t.true(process.cpuUsage(start).user < 500_000);
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  t.true(heapUsed + arrayBuffers - before.heapUsed - before.arrayBuffers < 16 * 2 ** 20);
});
