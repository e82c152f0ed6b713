import { EventEmitter } from "node:events";
import { cpSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import type { ExecutionContext } from "ava";
import { runCommandLine } from "../../bin/command-line.ts";
import { artifactStore } from "../../bin/model-session.ts";
import { runPruneCommand } from "../../bin/prune-command.ts";
import { readExpert } from "../../model/experts/expert-artifact.ts";
import { builtinTasks } from "../../prune/tasks/builtin-tasks.ts";
import type { ExpertReport } from "../../prune/experts/expert-report.ts";
import { defaultMethod, methods } from "../../prune/choice/recipe.ts";
import { writeAnsweredCorpus } from "../helpers/answered-corpus.ts";
import { tempDir } from "../helpers/temp-dir.ts";
import { writeTinyGguf } from "../helpers/tiny-gguf.ts";
import type { TinyModelOptions } from "../helpers/tiny-model.ts";

interface RunOptions {
  readonly stderrIsTty?: boolean;
  readonly onStderr?: (text: string, signals: EventEmitter) => void;
}

async function run(args: readonly string[], { stderrIsTty, onStderr }: RunOptions = {}) {
  const signals = new EventEmitter();
  let [stdout, stderr] = ["", ""];
  const command = {
    summary: "",
    run: (rest: readonly string[], io: Parameters<typeof runPruneCommand>[1]) =>
      runPruneCommand(rest, io, signals),
  };
  const status = await runCommandLine(
    ["prune", ...args],
    { prune: command },
    {
      env: {},
      stdout: (text) => (stdout += text),
      stderr: (text) => {
        stderr += text;
        onStderr?.(text, signals);
      },
      ...(stderrIsTty !== undefined && { stderrIsTty }),
    },
  );
  return { status, stdout, stderr };
}

/** A tiny model, a corpus of the task "legal", and the flags that name them. */
function setUp(t: ExecutionContext, options: TinyModelOptions = {}) {
  const cacheDir = tempDir(t);
  const [model, corpus] = [join(cacheDir, "tiny.gguf"), join(cacheDir, "legal.jsonl")];
  writeTinyGguf(model, options);
  writeAnsweredCorpus(corpus);
  const modelFlags = ["--model", model, "--cache-dir", cacheDir, "--threads", "1"];
  const store = artifactStore(cacheDir);
  return {
    store,
    cacheDir,
    flags: ["--task", "legal", "--corpus", corpus, "--tokens", "3000", ...modelFlags],
    storeFlags: ["--cache-dir", cacheDir],
  };
}

test("help lists the commands, and each command's options with their defaults", async (t) => {
  for (const args of [[], ["--help"], ["-h"]]) {
    const { status, stdout } = await run(args);
    t.is(status, 0);
    t.regex(stdout, /tasks .*\n.*calibrate .*\n.*merge .*\n.*build /);
  }
  const { stdout } = await run(["build", "--help"]);
  t.true(stdout.includes(`--method  [${defaultMethod}]`));
  for (const method of methods) t.true(stdout.includes(method));
  t.regex(stdout, /--max-loss-increase\n/);
  t.regex((await run(["calibrate", "--help"])).stdout, /--shard\n.*1\/4/);
  t.regex((await run(["merge", "--help"])).stdout, /merge <profile>/);
});

test("the built-in tasks are listed with what they are and how many prompts they have", async (t) => {
  const { status, stdout } = await run(["tasks"]);
  t.is(status, 0);
  t.is(stdout.trimEnd().split("\n").length, builtinTasks.length);
  t.regex(stdout, /^code +\d{3} prompts {2}writing, explaining/m);
  const [first] = JSON.parse((await run(["tasks", "--json"])).stdout) as Record<string, unknown>[];
  t.deepEqual(Object.keys(first!), ["task", "description", "numPrompts", "corpus"]);
});

for (const [args, message] of [
  [["bild"], 'Expected one of tasks, calibrate, merge, build, got "bild"'],
  [["build"], "--task is missing"],
  [["build", "--task", "code", "--sparsity", "30"], "--sparsity: expected a number above 0"],
  [["build", "--task", "code"], "one of --sparsity and --max-loss-increase"],
  [
    ["build", "--task", "code", "--sparsity", "0.1", "--max-loss-increase", "0.1"],
    "one of --sparsity and --max-loss-increase",
  ],
  [["build", "--task", "code", "--sparsity", "0.1", "--method", "x"], "--method: expected one of"],
  [["build", "--task", "general", "--sparsity", "0.1", "--method", "wanda"], "-general"],
  [["build", "--task", "code", "--sparsity", "0.1", "--sparsity", "0.2"], "expected once"],
  [["calibrate", "--task", "legal"], '"legal" is not built in, expected --corpus'],
  [["calibrate", "--task", "Legal", "--corpus", "package.json"], "lower-case"],
  [["calibrate", "--task", "dense", "--corpus", "package.json"], "other than all, dense"],
  [["calibrate", "--task", "code,math", "--corpus", "x"], "--corpus: expected one --task"],
  [["calibrate", "--task", "code", "--shard", "5/4"], "--shard: expected a part such as 1/4"],
  [["calibrate", "--task", "code", "--shard", "0/4"], "--shard: expected a part such as 1/4"],
  [["calibrate", "--taks", "code"], "Unknown option '--taks'"],
  [["merge"], "Expected the profiles of all shards"],
] as const) {
  test(`called wrongly it exits with 2 and says what was expected: ${args.join(" ")}`, async (t) => {
    const { status, stderr, stdout } = await run(args);
    t.is(status, 2);
    t.true(stderr.includes(message), stderr);
    t.is(stdout, "");
  });
}

test("a corpus with a mistake exits with 1 and names the line", async (t) => {
  const { flags, cacheDir } = setUp(t);
  writeFileSync(join(cacheDir, "legal.jsonl"), '{"prompt": "x"}\n{"promt": "y"}\n');
  const { status, stderr } = await run(["calibrate", ...flags]);
  t.is(status, 1);
  t.regex(stderr, /legal\.jsonl:2: expected .*came the fields promt/);
});

test("a build prints its report, keeps expert and report, and the next one finds both", async (t) => {
  const { flags, store } = setUp(t);
  const args = ["build", ...flags, "--sparsity", "0.4", "--method", "seap"];
  const { status, stdout, stderr } = await run(args);
  t.is(status, 0, stderr);
  t.regex(
    stdout,
    /^legal: \d+\.\d % of the middle is gone \(\d\.\d % of the model\), method seap$/m,
  );
  t.regex(stdout, /perplexity +\d+\.\d+ +\d+\.\d+ +[+-]\d+\.\d % \(-?\d+\.\d % to -?\d+\.\d %\)/);
  t.regex(stdout, /held-out texts, calibrated with 3,000 tokens, built in \d+\.\d s/);
  const keys = await store.keys();
  const expert = keys.find((key) => key.startsWith("expert-"))!;
  t.true(stdout.includes(expert));
  t.true(keys.includes(expert.replace("expert", "report")));
  t.is(readExpert((await store.read(expert))!).plan.task, "legal");
  t.is((await run(args)).stdout, stdout);
  t.deepEqual(await store.keys(), keys);
  const parsed = JSON.parse((await run([...args, "--json"])).stdout) as {
    task: string;
    report: ExpertReport;
  }[];
  t.is(parsed.length, 1);
  t.is(parsed[0]!.report.expert, expert);
});

test("the default method builds as well", async (t) => {
  const { flags } = setUp(t);
  // Also a little of every built-in task, whose answers the model writes.
  const few = flags.map((flag, i) => (flags[i - 1] === "--tokens" ? "900" : flag));
  const { status, stdout, stderr } = await run(["build", ...few, "--sparsity", "0.3", "--json"]);
  t.is(status, 0, stderr);
  const [{ report }] = JSON.parse(stdout) as [{ report: ExpertReport }];
  t.is(report.recipe["method"], defaultMethod);
});

test("a budget keeps only the expert that it chose, and says what was tried", async (t) => {
  const { flags, store } = setUp(t);
  const args = ["build", ...flags, "--method", "seap", "--max-loss-increase"];
  const wide = await run([...args, "9"]);
  t.is(wide.status, 0, wide.stderr);
  t.regex(wide.stdout, /^legal: within 900 % of dense's perplexity\n {2}sparsity 0\.\d\d: /);
  t.regex(wide.stdout, /method seap/);
  t.is((await store.keys()).filter((key) => key.startsWith("expert-")).length, 1);
});

test("where nothing fits the budget it says so, keeps no expert and does not try again", async (t) => {
  // Wide enough to lose a twentieth, and random, so that no change for the better is certain.
  const { flags, store, cacheDir } = setUp(t, { intermediateSize: 640, logitGain: 2 });
  const prompts = Array.from({ length: 80 }, (_, i) => `{"prompt": "Question ${i}?"}\n`);
  writeFileSync(join(cacheDir, "legal.jsonl"), prompts.join(""));
  const args = ["build", ...flags, "--method", "seap", "--max-loss-increase", "0.000000001"];
  const { status, stdout, stderr } = await run(args);
  t.is(status, 0, stderr);
  t.regex(
    stdout,
    /^legal: nothing tried is within 1e-7 % of dense's perplexity: the dense model stays\n {2}sparsity 0\.05: .*, over the budget\n/,
  );
  t.deepEqual(
    (await store.keys()).filter((key) => key.startsWith("expert-")),
    [],
  );
  const again = await run([...args, "--json", "--progress", "json"]);
  t.is(again.stderr, "");
  const [result] = JSON.parse(again.stdout) as [
    { report: null; trials: { sparsity: number; isWithin: boolean }[] },
  ];
  t.is(result.report, null);
  t.true(result.trials.length >= 3 && result.trials.every(({ isWithin }) => !isWithin));
});

test("shards from two machines merge to the profile of one run", async (t) => {
  const { flags, store, storeFlags } = setUp(t);
  const elsewhere = tempDir(t);
  const keyOf = (stdout: string): string => /profile-\w+/.exec(stdout)![0];
  const first = await run(["calibrate", ...flags, "--shard", "1/2"]);
  t.regex(first.stdout, /^legal: profile-\w+ \(part 1\/2 of 3,000 tokens in \d+ texts, /);
  const otherFlags = [...flags, "--shard", "2/2"].map((flag, i) =>
    flags[i - 1] === "--cache-dir" ? elsewhere : flag,
  );
  const second = await run(["calibrate", ...otherFlags, "--json"]);
  const [{ profile, shard }] = JSON.parse(second.stdout) as [{ profile: string; shard: string }];
  t.is(shard, "2/2");
  const missing = await run(["merge", keyOf(first.stdout), profile, ...storeFlags]);
  t.is(missing.status, 1);
  t.regex(missing.stderr, new RegExp(`${profile}: is neither a profile`));
  const copied = join(tempDir(t), "copied");
  cpSync(join(artifactStore(elsewhere).dir, profile), copied, { recursive: true });
  const merged = await run(["merge", keyOf(first.stdout), copied, ...storeFlags]);
  t.is(merged.status, 0, merged.stderr);
  const keys = await store.keys();
  const whole = await run(["calibrate", ...flags]);
  t.is(keyOf(whole.stdout), keyOf(merged.stdout));
  t.deepEqual(await store.keys(), keys);
  const half = await run(["merge", keyOf(first.stdout), ...storeFlags]);
  t.is(half.status, 1);
  t.regex(half.stderr, /Shard 2\/2 is missing/);
});

test("a signal ends a build with 130, and the next one makes what it would have made", async (t) => {
  const { flags, store } = setUp(t);
  const args = ["build", ...flags, "--sparsity", "0.4", "--method", "seap"];
  for (const phase of ["calibrating", "building", "judging"]) {
    const { status, stdout, stderr } = await run(args, {
      stderrIsTty: true,
      onStderr: (text, signals) => text.includes(phase) && signals.emit("SIGINT"),
    });
    t.is(status, 130, phase);
    t.is(stdout, "");
    t.regex(stderr, /seap prune: Ended\. What was finished is kept.*goes on from there\.\n$/);
  }
  const { status, stdout } = await run(args);
  t.is(status, 0);
  const other = setUp(t);
  const whole = await run(["build", ...other.flags, "--sparsity", "0.4", "--method", "seap"]);
  const expert = /expert-\w+/.exec(whole.stdout)![0];
  t.true(stdout.includes(expert));
  const files = async (from: typeof store) =>
    readExpert((await from.read(expert))!).segments.map(({ weights }) => weights);
  t.deepEqual(await files(store), await files(other.store));
});
