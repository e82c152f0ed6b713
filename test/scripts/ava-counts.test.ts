import test from "ava";
import { loadScript } from "./load-script.ts";

interface Counts {
  readonly passed: number;
  readonly failed: number;
}

const { parseAvaCounts, parseClientCounts } = await loadScript<{
  parseAvaCounts: (output: string, succeeded: boolean) => Counts;
  parseClientCounts: (output: string) => Counts;
}>("ava-counts.mjs");

test("a green run counts what ava's summary says", (t) => {
  const output =
    "  ✔ a › one\n  ✔ a › two (1.2s)\n  - [skip] a › three\n  ─\n\n  2 tests passed\n  1 test skipped\n";
  t.deepEqual(parseAvaCounts(output, true), { passed: 2, failed: 0 });
});

test("a red run counts passed tests by their lines, as ava leaves them out", (t) => {
  const output =
    "  ✔ a › one\n  ✘ [fail]: a › two\n  ✔ [expected fail] a › known\n  ─\n\n  1 test failed\n  1 known failure\n";
  t.deepEqual(parseAvaCounts(output, false), { passed: 1, failed: 1 });
});

test("hooks, exceptions, rejections and timeouts count as failures", (t) => {
  const output =
    "  1 hook failed\n  2 tests failed\n  1 uncaught exception\n  3 unhandled rejections\n  1 test remained pending after a timeout\n";
  t.deepEqual(parseAvaCounts(output, false), { passed: 0, failed: 8 });
});

test("colours do not change the counts", (t) => {
  t.deepEqual(parseAvaCounts("  \u001B[32m12 tests passed\u001B[39m\n", true), {
    passed: 12,
    failed: 0,
  });
});

test("text that a test prints is not taken for the summary", (t) => {
  const output =
    "  9 tests passed\nstatus: 4 tests failed\n  ✔ a › 7 tests failed\n  1 test passed\n";
  t.deepEqual(parseAvaCounts(output, true), { passed: 1, failed: 0 });
});

test("a run that failed without a failed test has one failure", (t) => {
  t.deepEqual(parseAvaCounts("  ✘ Couldn’t find any files to test\n", false), {
    passed: 0,
    failed: 1,
  });
  t.deepEqual(parseAvaCounts("  ✘ No tests found in x.test.js\n\n  3 tests passed\n", false), {
    passed: 3,
    failed: 1,
  });
});

test("the clients' counts are in their last line", (t) => {
  const output = "PASS one\n3 passed, 1 failed\nPASS two\n\n12 passed, 0 failed\n";
  t.deepEqual(parseClientCounts(output), { passed: 12, failed: 0 });
});

test("clients that ended without a last line have one failure", (t) => {
  t.deepEqual(parseClientCounts("PASS one\n"), { passed: 0, failed: 1 });
  t.deepEqual(parseClientCounts(""), { passed: 0, failed: 1 });
});
