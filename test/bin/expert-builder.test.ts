import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import test from "ava";
import type { ExecutionContext } from "ava";
import { builtinExperts } from "../../bin/expert-builder.ts";
import { artifactStore } from "../../bin/model-session.ts";
import { ExpertBuildError } from "../../engine/contract/errors.ts";
import type { BuildProgress } from "../../engine/contract/experts.ts";
import { readExpert } from "../../model/experts/expert-artifact.ts";
import { totalBytes } from "../../model/stages/model-stages.ts";
import { openModel } from "../../model/weights/open-model.ts";
import type { ExpertBudget, ExpertBuilderOptions } from "../../server/experts/expert-source.ts";
import { tempDir } from "../helpers/temp-dir.ts";
import { writeTinyGguf } from "../helpers/tiny-gguf.ts";
import type { TinyModelOptions } from "../helpers/tiny-model.ts";

async function setUp(
  t: ExecutionContext,
  tasks: Record<string, ExpertBudget>,
  model: TinyModelOptions = {},
) {
  t.timeout(240_000);
  const cacheDir = tempDir(t);
  const modelPath = join(cacheDir, "tiny.gguf");
  writeTinyGguf(modelPath, model);
  const { weights } = await openModel(modelPath);
  weights.close();
  const lines: string[] = [];
  const options: ExpertBuilderOptions = {
    modelPath,
    contentHash: weights.contentHash,
    weights: "q8",
    cacheDir,
    settings: { tasks, tokens: 600 },
    log: (line) => lines.push(line),
  };
  const createBuilder = () => builtinExperts.createBuilder(options);
  return { options, createBuilder, lines, store: artifactStore(cacheDir) };
}

const quietly = () => ({ signal: new AbortController().signal, onProgress: () => undefined });

test("the tasks that experts can be built of are known, general not among them", (t) => {
  t.true(builtinExperts.tasks.includes("math"));
  t.false(builtinExperts.tasks.includes("general"));
  t.deepEqual([...builtinExperts.tasks].sort(), builtinExperts.tasks);
});

test("of two servers one builds, the other waits for it, and a third finds the expert", async (t) => {
  const { createBuilder, store, lines } = await setUp(t, { math: { sparsity: 0.3 } });
  t.is(await createBuilder().find("math"), null);
  const phases = new Set<string>();
  const onProgress = ({ phase, share }: BuildProgress) => {
    phases.add(phase);
    t.true(share >= 0 && share <= 1);
  };
  const { signal } = new AbortController();
  const [one, two] = await Promise.all(
    [0, 1].map(() => createBuilder().build("math", { signal, onProgress })),
  );
  t.true(phases.has("math: writing answers"));
  t.true(phases.has("math: judging"));
  t.regex(lines.join("\n"), /math: process \d+ on .* builds it already, waiting/);
  const times = [one!.buildSeconds, two!.buildSeconds];
  t.is(times.filter((seconds) => seconds !== null).length, 1);
  t.is(one!.storeDir, store.dir);
  t.true(one!.sparsity > 0.1 && one!.sparsity < 0.5);
  t.true(one!.lossIncrease! > -1);
  const found = await createBuilder().find("math");
  t.deepEqual(found, { ...one!, buildSeconds: null });
  t.is(two!.key, one!.key);
  const { segments } = readExpert((await store.read(one!.key))!);
  t.is(totalBytes(segments), one!.sizeBytes);

  const path = (await store.read(one!.key))!.path("weights-0.bin");
  const bytes = readFileSync(path);
  writeFileSync(path, bytes.subarray(1));
  const rebuilt = await createBuilder().build("math", quietly());
  t.is(rebuilt!.key, one!.key);
  t.deepEqual(readFileSync(path), bytes);
  t.regex(lines.join("\n"), /weights-0\.bin.*building it again/);
});

test("that nothing is within the budget is remembered, and other settings are another matter", async (t) => {
  const { options, createBuilder } = await setUp(
    t,
    { general: { maxLossIncrease: 1e-9 } },
    // Wide enough to lose a twentieth.
    { intermediateSize: 640 },
  );
  t.is(await createBuilder().build("general", quietly()), null);
  const phases: string[] = [];
  const again = { ...quietly(), onProgress: ({ phase }: BuildProgress) => phases.push(phase) };
  t.is(await createBuilder().build("general", again), null);
  t.deepEqual(phases, []);
  t.is(await createBuilder().find("general"), null);
  const wide = builtinExperts.createBuilder({
    ...options,
    settings: { ...options.settings, tasks: { general: { maxLossIncrease: 9 } } },
  });
  t.truthy(await wide.build("general", quietly()));
});

test("an abort ends the build with its reason, and what failed says why", async (t) => {
  const { options, createBuilder } = await setUp(t, { math: { sparsity: 0.3 } });
  const abort = new AbortController();
  const aborted = createBuilder().build("math", {
    signal: abort.signal,
    onProgress: () => abort.abort(new Error("enough")),
  });
  await t.throwsAsync(aborted, { message: "enough" });
  await t.throwsAsync(createBuilder().build("math", { ...quietly(), signal: abort.signal }), {
    message: "enough",
  });
  const modelPath = "/nowhere/model.gguf";
  const lost = builtinExperts.createBuilder({ ...options, modelPath });
  await t.throwsAsync(lost.build("math", quietly()), {
    instanceOf: ExpertBuildError,
    message: /^seap prune build failed: status 1: seap prune: .*\/nowhere\/model\.gguf/,
  });
  await t.throwsAsync(lost.find("code"), { message: /No expert of code .* only of math/ });
});

/** A process that builds as a server does, and prints each step. */
const server = `
  import { builtinExperts } from "./dist/bin/expert-builder.js";
  const builder = builtinExperts.createBuilder({ ...JSON.parse(process.argv[1]), log: () => undefined });
  const { signal } = new AbortController();
  const onProgress = ({ phase }) => console.log(phase);
  await builder.build("math", { signal, onProgress });
`;

test("servers that are killed while they build leave nothing damaged, and the next goes on", async (t) => {
  const { options, createBuilder, store } = await setUp(t, { math: { sparsity: 0.3 } });
  for (let kill = 0; kill < 10; kill++) {
    const args = ["--input-type=module", "--eval", server, JSON.stringify(options)];
    const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
    t.teardown(() => child.kill("SIGKILL"));
    let stepsLeft = 1 + kill * 2;
    createInterface({ input: child.stdout }).on("line", () => {
      stepsLeft -= 1;
      if (stepsLeft === 0) child.kill("SIGKILL");
    });
    await once(child, "close");
    for (const key of await store.keys()) await t.notThrowsAsync(store.read(key), key);
  }
  const built = await createBuilder().build("math", quietly());
  const startedAt = performance.now();
  t.deepEqual(await createBuilder().find("math"), { ...built!, buildSeconds: null });
  t.true(performance.now() - startedAt < 2000);
});
