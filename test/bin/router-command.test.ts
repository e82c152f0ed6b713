import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import type { ExecutionContext } from "ava";
import { runRouterCommand } from "../../bin/router-command.ts";
import { RouterError } from "../../router/errors.ts";
import type { Decision } from "../../router/router.ts";
import { ConfigError } from "../../server/base/config-error.ts";
import { readCorpusFile } from "../../prune/tasks/corpus.ts";
import { tempDir } from "../helpers/temp-dir.ts";
import { writeTinyGguf } from "../helpers/tiny-gguf.ts";

const signals = { on: () => undefined, off: () => undefined };

async function run(args: readonly string[]): Promise<string> {
  let out = "";
  const io = { env: {}, stdout: (text: string) => void (out += text), stderr: () => undefined };
  await runRouterCommand(args, io, signals);
  return out;
}

function setting(t: ExecutionContext) {
  const dir = tempDir(t);
  const model = join(dir, "tiny.gguf");
  writeTinyGguf(model);
  const corpora = join(dir, "corpora");
  return {
    dir,
    corpora,
    common: ["--model", model, "--cache-dir", join(dir, "cache"), "--threads", "1"],
  };
}

const numbers = Array.from({ length: 24 }, (_, i) => `${i} + ${i * 7} - ${i % 5} = ?`);
const words = Array.from(
  { length: 24 },
  (_, i) => `tell me of ${"the sea and ".repeat((i % 4) + 1)}a ship`,
);
const lines = (prompts: readonly string[]) =>
  prompts.map((prompt) => `${JSON.stringify({ prompt })}\n`).join("");

test.serial("what was proposed can be fitted, explained and fitted only once", async (t) => {
  const { dir, corpora, common } = setting(t);
  const log = join(dir, "log.jsonl");
  writeFileSync(log, lines(numbers.flatMap((number, i) => [number, words[i]!])));

  const proposed = await run(["propose", log, "--out", corpora, "--tasks", "2", ...common]);
  t.regex(proposed, /prompts, separation/);
  const files = readdirSync(corpora);
  t.is(files.length, 2);
  const total = files.reduce((sum, file) => sum + readCorpusFile(join(corpora, file)).length, 0);
  t.is(total, 48);

  const fit = ["fit", "--data", corpora, "--json", ...common];
  const out = join(dir, "router.safetensors");
  const first = JSON.parse(await run([...fit, "--out", out])) as Record<string, unknown>;
  t.is(first["isNew"], true);
  t.true(existsSync(out));
  const second = JSON.parse(await run(fit)) as Record<string, unknown>;
  t.is(second["isNew"], false);
  t.is(second["router"], first["router"]);

  const explain = ["explain", "3 + 21 - 3 = ?", "--router", out, ...common];
  const decision = JSON.parse(await run([...explain, "--json"])) as Decision;
  t.is(decision.scores.length, 2);
  const task = decision.scores[0]!.task;
  const own = readFileSync(join(corpora, `${task}.jsonl`), "utf8");
  t.true(own.includes("3 + 21 - 3"));
  t.regex(await run(explain), /confidence .*\n.*\n.*\n[^]*nearest clusters:/);
});

test("wrong calls say what was expected", async (t) => {
  await t.throwsAsync(run(["guess"]), { instanceOf: ConfigError, message: /fit, eval, explain/ });
  await t.throwsAsync(run(["eval"]), { instanceOf: ConfigError, message: /--data is missing/ });
  await t.throwsAsync(run(["explain"]), {
    instanceOf: ConfigError,
    message: /Expected 1 argument besides options, got 0/,
  });
  await t.throwsAsync(run(["fit", "--false-rejection", "2"]), {
    instanceOf: ConfigError,
    message: /--false-rejection: expected a number above 0 and below 1/,
  });
  await t.throwsAsync(run(["fit", "--data", "/nowhere"]), {
    instanceOf: RouterError,
    message: /expected a folder/,
  });
});

test("help names every command and its options", async (t) => {
  const help = await run(["--help"]);
  for (const command of ["fit", "eval", "explain", "propose"]) {
    t.true(help.includes(command));
    t.true((await run([command, "--help"])).includes("--model"));
  }
});
