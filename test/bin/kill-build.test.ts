import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readFileSync, watch } from "node:fs";
import { join } from "node:path";
import test from "ava";
import type { ExecutionContext } from "ava";
import { runCommandLine } from "../../bin/command-line.ts";
import { artifactStore } from "../../bin/model-session.ts";
import { runPruneCommand } from "../../bin/prune-command.ts";
import type { ArtifactStore } from "../../model/experts/artifact-store.ts";
import { readExpert } from "../../model/experts/expert-artifact.ts";
import { writeAnsweredCorpus } from "../helpers/answered-corpus.ts";
import { tempDir } from "../helpers/temp-dir.ts";
import { writeTinyGguf } from "../helpers/tiny-gguf.ts";

const numKills = 20;

/** Runs the compiled `seap`; `onChange` is called when something comes or goes in its store. */
async function runSeap(
  t: ExecutionContext,
  args: readonly string[],
  store: ArtifactStore,
  onChange: (child: ChildProcess) => void,
): Promise<{ status: number | null; isKilled: boolean }> {
  const tempFolder = join(store.dir, "tmp");
  mkdirSync(tempFolder, { recursive: true });
  const child = spawn(process.execPath, ["bin/seap.js", ...args], { stdio: "ignore" });
  t.teardown(() => child.kill("SIGKILL"));
  const watchers = [store.dir, tempFolder].map((dir) => watch(dir, () => onChange(child)));
  await once(child, "close");
  for (const watcher of watchers) watcher.close();
  return { status: child.exitCode, isKilled: child.signalCode === "SIGKILL" };
}

/** What an expert's files hold, every artifact of the store having been read. */
async function contentOf(store: ArtifactStore): Promise<Map<string, Buffer>> {
  const content = new Map<string, Buffer>();
  for (const key of await store.keys()) {
    const artifact = (await store.read(key))!;
    if (!key.startsWith("expert-")) continue;
    readExpert(artifact);
    for (const name of artifact.fileNames) {
      content.set(`${key} ${name}`, readFileSync(artifact.path(name)));
    }
  }
  return content;
}

test("a build that is killed leaves nothing that loads wrong, and the next makes the same", async (t) => {
  t.timeout(240_000);
  const dir = tempDir(t);
  const [model, corpus] = [join(dir, "tiny.gguf"), join(dir, "legal.jsonl")];
  writeTinyGguf(model);
  writeAnsweredCorpus(corpus);
  const argsFor = (cacheDir: string) =>
    [
      ...["prune", "build", "--task", "legal", "--corpus", corpus, "--tokens", "3000"],
      ...["--sparsity", "0.4", "--method", "seap", "--model", model, "--threads", "1"],
      ...["--cache-dir", cacheDir],
    ] as const;
  const referenceDir = tempDir(t);
  const reference = artifactStore(referenceDir);
  let numChanges = 0;
  const whole = await runSeap(t, argsFor(referenceDir), reference, () => (numChanges += 1));
  t.is(whole.status, 0);
  const expected = await contentOf(reference);
  t.is(expected.size, 2);

  let numKilled = 0;
  let random = 1;
  for (let kill = 0; kill < numKills; kill++) {
    const cacheDir = tempDir(t);
    const store = artifactStore(cacheDir);
    random = (random * 48_271) % 2_147_483_647;
    let changesLeft = 1 + (random % numChanges);
    const { isKilled } = await runSeap(t, argsFor(cacheDir), store, (child) => {
      changesLeft -= 1;
      // Between two changes as well.
      if (changesLeft === 0) setTimeout(() => child.kill("SIGKILL"), random % 10);
    });
    if (isKilled) numKilled += 1;
    for (const [name, bytes] of await contentOf(store)) {
      t.true(bytes.equals(expected.get(name)!), name);
    }
    const prune = {
      summary: "",
      run: (rest: readonly string[], io: Parameters<typeof runPruneCommand>[1]) =>
        runPruneCommand(rest, io, process),
    };
    let stderr = "";
    const status = await runCommandLine(
      argsFor(cacheDir),
      { prune },
      {
        env: {},
        stdout: () => undefined,
        stderr: (text) => (stderr += text),
      },
    );
    t.is(status, 0, stderr);
    t.deepEqual(await contentOf(store), expected);
  }
  t.log(`${numKilled} of ${numKills} were killed`);
  t.true(numKilled >= numKills / 2);
});
