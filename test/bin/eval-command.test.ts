import { EventEmitter } from "node:events";
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import type { ExecutionContext } from "ava";
import { runCommandLine } from "../../bin/command-line.ts";
import type { Command } from "../../bin/command-line.ts";
import { runEvalCommand } from "../../bin/eval-command.ts";
import type { EvaluationResult } from "../../prune/evaluation/result.ts";
import { tempDir } from "../helpers/temp-dir.ts";
import { writeTinyGguf } from "../helpers/tiny-gguf.ts";

/** A model, rows of three tasks, and folders for cache and report, all removed after the test. */
function setUp(t: ExecutionContext) {
  const dir = tempDir(t);
  const [model, data, cacheDir, out] = ["tiny.gguf", "data", "cache", "out"].map((name) =>
    join(dir, name),
  ) as [string, string, string, string];
  writeTinyGguf(model);
  mkdirSync(data);
  const write = (fileName: string, rows: readonly object[]) =>
    writeFileSync(join(data, fileName), rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
  const numbers = Array.from({ length: 24 }, (_, i) => i);
  for (const part of ["eval", "calib"]) {
    write(
      `piqa.${part}.jsonl`,
      numbers.map((i) => ({
        id: `${part}-${i}`,
        goal: `How do I use thing ${i} of the ${part}?`,
        choices: ["Turn it around.", `Leave it alone for ${i} days.`],
        answer: i % 2,
      })),
    );
    write(
      `gsm8k.${part}.jsonl`,
      numbers.map((i) => ({
        question: `What is ${i} and ${i} of the ${part}?`,
        answer: `It is ${2 * i}.\n#### ${2 * i}`,
        final: String(2 * i),
      })),
    );
  }
  const folders = ["--model", model, "--data", data, "--cache-dir", cacheDir, "--out", out];
  const options = [...folders, "--rows", "6", "--tokens", "600", "--threads", "1"];
  return { dir, data, cacheDir, out, options };
}

/** @param onLine called with what goes to stderr */
async function run(
  args: readonly string[],
  signals = new EventEmitter(),
  onLine: (text: string) => void = () => undefined,
) {
  let [stdout, stderr] = ["", ""];
  const command: Command = {
    summary: "measure",
    run: (rest, io) => runEvalCommand(rest, io, signals),
  };
  const status = await runCommandLine(
    ["eval", ...args],
    { eval: command },
    {
      env: {},
      stdout: (text) => (stdout += text),
      stderr: (text) => {
        stderr += text;
        onLine(text);
      },
    },
  );
  return { status, stdout, stderr };
}

const rowNames = (table: string): (string | undefined)[] =>
  table
    .trim()
    .split("\n")
    .slice(2)
    .map((line) => line.split("|")[1]?.trim());

test("a table of every method and sparsity is printed, and the report written", async (t) => {
  const { out, options } = setUp(t);
  const args = ["--tasks", "piqa,gsm8k", "--methods", "dense,wanda,seap-general"];
  const { status, stdout, stderr } = await run([...options, ...args, "--sparsity", "0.3,0.2"]);
  t.is(status, 0, stderr);
  t.regex(
    stdout,
    /^\| method \| mean accuracy, % \|.* piqa \|.* gsm8k, perplexity \|.* build, s \|\n/,
  );
  t.deepEqual(rowNames(stdout), [
    "dense",
    "wanda 20 %",
    "wanda 30 %",
    "seap-general 20 %",
    "seap-general 30 %",
  ]);
  t.regex(stderr, /piqa, wanda 20 %: 6 rows in [\d.]+ s; about \d+ s left/);
  t.deepEqual(readdirSync(out).sort(), ["report.html", "report.json", "report.md"]);
  t.true(readFileSync(join(out, "report.md"), "utf8").includes(stdout));
  const report = JSON.parse(readFileSync(join(out, "report.json"), "utf8")) as EvaluationResult;
  t.deepEqual(
    report.plans.map(({ method, sparsityTarget, plan }) => [method, sparsityTarget, plan.task]),
    [
      ["wanda", 0.2, "piqa"],
      ["wanda", 0.2, "gsm8k"],
      ["wanda", 0.3, "piqa"],
      ["wanda", 0.3, "gsm8k"],
      ["seap-general", 0.2, "general"],
      ["seap-general", 0.3, "general"],
    ],
  );
  t.is(report.maxRows, 6);
  t.true(report.methods.every(({ tasks }) => tasks.every(({ numRows }) => numRows === 6)));
});

test("a second run measures nothing again and writes the same report", async (t) => {
  const { cacheDir, out, options } = setUp(t);
  const args = [...options, "--tasks", "piqa,gsm8k", "--methods", "seap", "--sparsity", "0.3"];
  const first = await run(args);
  t.is(first.status, 0, first.stderr);
  const page = readFileSync(join(out, "report.html"), "utf8");
  const kept = readdirSync(join(cacheDir, "artifacts")).sort();
  t.deepEqual(
    kept.filter((name) => name.startsWith("expert-")),
    [],
  );
  t.is(kept.filter((name) => name.startsWith("evaluation-")).length, 4);
  rmSync(out, { recursive: true });
  const second = await run(args);
  t.is(second.stdout, first.stdout);
  t.is(readFileSync(join(out, "report.html"), "utf8"), page);
  t.regex(second.stderr, /4 of 4 measurements had been made before/);
  t.notRegex(second.stderr, /rows in/);
  t.deepEqual(readdirSync(join(cacheDir, "artifacts")).sort(), kept);
});

test("another method is measured beside those that were", async (t) => {
  const { options } = setUp(t);
  const args = [...options, "--tasks", "piqa", "--sparsity", "0.3", "--methods"];
  const alone = await run([...args, "seap"]);
  const both = await run([...args, "seap,wanda"]);
  t.is(both.status, 0, both.stderr);
  t.regex(both.stderr, /2 of 3 measurements had been made before/);
  const rows = alone.stdout.trim().split("\n");
  t.deepEqual(both.stdout.split("\n").slice(0, rows.length), rows);
});

test("solutions are generated with every middle", async (t) => {
  const { options } = setUp(t);
  const args = ["--tasks", "gsm8k_generate", "--methods", "seap", "--sparsity", "0.3"];
  const { status, stdout, stderr } = await run([...options, ...args, "--json"]);
  t.is(status, 0, stderr);
  const { methods } = JSON.parse(stdout) as EvaluationResult;
  t.deepEqual(
    methods.map(({ tasks }) => tasks.map(({ kind, task, numRows }) => [kind, task, numRows])),
    [[["generation", "gsm8k_generate", 6]], [["generation", "gsm8k_generate", 6]]],
  );
});

test("SIGINT ends an evaluation with 130; the next one goes on", async (t) => {
  const { options } = setUp(t);
  const args = [...options, "--tasks", "piqa,gsm8k", "--methods", "wanda", "--sparsity", "0.3"];
  const signals = new EventEmitter();
  const { status, stdout, stderr } = await run(args, signals, (text) => {
    if (text.startsWith("piqa, wanda 30 %: 6 rows")) signals.emit("SIGINT");
  });
  t.is(status, 130);
  t.is(stdout, "");
  t.regex(stderr, /the same command goes on from there\.\n$/);
  t.is(signals.listenerCount("SIGINT"), 0);
  const next = await run(args);
  t.is(next.status, 0);
  t.regex(next.stderr, /2 of 4 measurements had been made before/);
});

test("what is called wrongly exits with 2 and says what was expected", async (t) => {
  for (const [args, expected] of [
    [
      ["--tasks", "poems"],
      /--tasks: there is no task "poems", expected some of winogrande, .*boolq/,
    ],
    [
      ["--methods", "magic"],
      /--methods: there is no method "magic", expected some of dense, wanda/,
    ],
    [["--sparsity", "0.2,1"], /--sparsity: expected shares above 0 and below 1.*got "1"/],
    [["--sparsity", "half"], /--sparsity: .*got "half"/],
    [["--rows", "0"], /--rows: expected an integer of at least 1, got "0"/],
    [["--weights", "q2"], /--weights: expected one of q8, q4, f32/],
    [["--row", "3"], /Unknown option '--row'/],
  ] as const) {
    const { status, stderr } = await run(args);
    t.is(status, 2);
    t.regex(stderr, expected);
  }
});

test("a data folder that is absent or lacks rows exits with 1 and names it", async (t) => {
  const { data, options } = setUp(t);
  const absent = await run(
    options.map((option) => (option === data ? join(data, "none") : option)),
  );
  t.is(absent.status, 1);
  t.regex(
    absent.stderr,
    /There is no folder .*data\/none; expected one with .*<task>\.eval\.jsonl/,
  );
  const other = await run([...options, "--tasks", "boolq"]);
  t.is(other.status, 1);
  t.regex(other.stderr, /Task boolq is left out: there is no .*boolq\.eval\.jsonl/);
  rmSync(join(data, "piqa.calib.jsonl"));
  const uncalibrated = await run([...options, "--tasks", "piqa", "--methods", "seap"]);
  t.is(uncalibrated.status, 1);
  t.regex(uncalibrated.stderr, /Task piqa has no rows .*expected piqa\.calib\.jsonl in/);
});

test("help lists the options", async (t) => {
  const { status, stdout } = await run(["--help"]);
  t.is(status, 0);
  t.regex(stdout, /--sparsity {2}\[0\.2,0\.3,0\.5\]/);
  t.regex(stdout, /gsm8k_generate lets every middle write/);
});
