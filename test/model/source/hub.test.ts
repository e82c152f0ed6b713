import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { ModelLoadError } from "../../../model/errors.ts";
import { resolveModel } from "../../../model/source/source.ts";
import type { SourceOptions, SourceProgress } from "../../../model/source/source-options.ts";
import { startFakeHub, type FakeHub } from "../../helpers/fake-hub.ts";
import { tempDir } from "../../helpers/temp-dir.ts";

const q4 = Buffer.from("GGUF, four bits ".repeat(10_000));
const q8 = Buffer.from("GGUF, eight bits");

const folderFiles = {
  "config.json": Buffer.from("{}"),
  "tokenizer.json": Buffer.from('{"model":{}}'),
  "chat_template.jinja": Buffer.from("template"),
};

interface Setup {
  readonly hub: FakeHub;
  readonly options: Partial<SourceOptions> & { readonly cacheDir: string };
  readonly log: string[];
  readonly progress: SourceProgress[];
}

async function setUp(t: ExecutionContext, files: Record<string, Buffer>): Promise<Setup> {
  const hub = await startFakeHub(t, { "org/model": files });
  const log: string[] = [];
  const progress: SourceProgress[] = [];
  const options = {
    cacheDir: tempDir(t),
    env: { HF_ENDPOINT: hub.url },
    log: (line: string) => void log.push(line),
    onProgress: (event: SourceProgress) => void progress.push(event),
  };
  return { hub, options, log, progress };
}

async function refuses(
  t: ExecutionContext,
  promise: Promise<unknown>,
  message: RegExp,
): Promise<void> {
  await t.throwsAsync(promise, { instanceOf: ModelLoadError, message });
}

test("the only GGUF file of a repository is the model, downloaded once", async (t) => {
  const { hub, options, progress } = await setUp(t, { ...folderFiles, "q4.gguf": q4 });
  const { path, name } = await resolveModel("hf:org/model", options);
  t.is(name, "org/model");
  t.true(readFileSync(path).equals(q4));
  t.deepEqual(hub.downloads, ["q4.gguf"]);
  t.deepEqual(progress.at(-1), {
    phase: "download",
    receivedBytes: q4.length,
    totalBytes: q4.length,
  });
  t.is((await resolveModel("hf:org/model", options)).path, path);
  t.is(hub.downloads.length, 1);
  t.deepEqual(readdirSync(join(options.cacheDir, "tmp")), []);
});

test("the file after the colon is the model", async (t) => {
  const { options } = await setUp(t, { "q4.gguf": q4, "more/q8.gguf": q8 });
  const { path } = await resolveModel("hf:org/model:more/q8.gguf", options);
  t.true(readFileSync(path).equals(q8));
  await refuses(
    t,
    resolveModel("hf:org/model:q5.gguf", options),
    /hf:org\/model:q5\.gguf: no such GGUF file in the repository, which has q4\.gguf, more\/q8\.gguf/,
  );
});

test("several GGUF files and no weights of another kind are an error that lists them", async (t) => {
  const { options } = await setUp(t, { "q4.gguf": q4, "q8.gguf": q8 });
  await refuses(
    t,
    resolveModel("hf:org/model", options),
    /several GGUF models; add one of them after a colon: q4\.gguf, q8\.gguf/,
  );
});

test("a repository of safetensors becomes a folder without what is not needed", async (t) => {
  const files = {
    ...folderFiles,
    "model.safetensors": q8,
    "README.md": q8,
    "consolidated.safetensors": q8,
    "onnx/model.onnx": q8,
  };
  const { options } = await setUp(t, files);
  const { path } = await resolveModel("hf:org/model", options);
  t.deepEqual(readdirSync(path).sort(), [
    "chat_template.jinja",
    "config.json",
    "model.safetensors",
    "tokenizer.json",
  ]);
});

test("shards come with their index", async (t) => {
  const files = {
    ...folderFiles,
    "model-00001-of-00002.safetensors": q4,
    "model-00002-of-00002.safetensors": q8,
    "model.safetensors.index.json": Buffer.from("{}"),
  };
  const { options, progress } = await setUp(t, files);
  const { path } = await resolveModel("hf:org/model", options);
  t.deepEqual(readdirSync(path).sort(), Object.keys(files).sort());
  const total = Object.values(files).reduce((sum, { length }) => sum + length, 0);
  t.is(progress.at(-1)?.receivedBytes, total);
});

test("a repository without a model is an error", async (t) => {
  const { options } = await setUp(t, folderFiles);
  await refuses(t, resolveModel("hf:org/model", options), /expected a repository with a GGUF file/);
});

test("a private repository wants HF_TOKEN and gets it", async (t) => {
  const { hub, options } = await setUp(t, { "q4.gguf": q4 });
  hub.requiredToken = "hf_secret";
  await refuses(t, resolveModel("hf:org/model", options), /private or gated: .*set HF_TOKEN/);
  const env = { ...options.env, HF_TOKEN: "hf_secret" };
  const { path } = await resolveModel("hf:org/model", { ...options, env });
  t.true(readFileSync(path).equals(q4));
});

test("an unknown repository is an error that names it", async (t) => {
  const { hub, options } = await setUp(t, {});
  await refuses(
    t,
    resolveModel("hf:org/other", options),
    new RegExp(`hf:org/other: ${hub.url} has no such repository`),
  );
});

test("a download that breaks off or differs from the listing is not kept", async (t) => {
  const { hub, options } = await setUp(t, { "q4.gguf": q4 });
  hub.breakDownloads = true;
  await refuses(t, resolveModel("hf:org/model", options), /q4\.gguf of org\/model: /);
  hub.breakDownloads = false;
  hub.corruptDownloads = true;
  await refuses(
    t,
    resolveModel("hf:org/model", options),
    /the download has SHA-256 [0-9a-f]{64}, expected/,
  );
  hub.corruptDownloads = false;
  const { path } = await resolveModel("hf:org/model", options);
  t.true(readFileSync(path).equals(q4));
  t.deepEqual(readdirSync(join(options.cacheDir, "tmp")), []);
});

test("a new commit is downloaded beside the old one", async (t) => {
  const { hub, options } = await setUp(t, { "q4.gguf": q4 });
  const old = await resolveModel("hf:org/model", options);
  hub.commit = "decade";
  hub.repos["org/model"] = { "q4.gguf": q8 };
  const { path } = await resolveModel("hf:org/model", options);
  t.true(readFileSync(path).equals(q8));
  t.true(readFileSync(old.path).equals(q4));
});

test("a damaged file in the cache is downloaded again, with a line in the log", async (t) => {
  const { hub, options, log } = await setUp(t, { "q4.gguf": q4 });
  const { path } = await resolveModel("hf:org/model", options);
  writeFileSync(path, "cut off");
  await resolveModel("hf:org/model", options);
  t.true(readFileSync(path).equals(q4));
  t.is(hub.downloads.length, 2);
  t.regex(log[0] ?? "", /is damaged \(7 bytes, expected \d+\): downloading it again/);
});

test("without the hub the last download serves, if it is whole", async (t) => {
  const { hub, options, log } = await setUp(t, { "q4.gguf": q4 });
  const offline = { ...options, offline: true };
  await refuses(t, resolveModel("hf:org/model", offline), /downloads are switched off/);
  const { path } = await resolveModel("hf:org/model", options);
  t.is((await resolveModel("hf:org/model", offline)).path, path);
  await hub.close();
  t.is((await resolveModel("hf:org/model", options)).path, path);
  t.regex(log[0] ?? "", /cannot be reached .*; using what was downloaded before/);
  writeFileSync(path, "cut off");
  await refuses(t, resolveModel("hf:org/model", options), /cannot be reached/);
});

test("files that would leave the cache folder are not downloaded", async (t) => {
  const { options } = await setUp(t, { "../../evil.gguf": q4, "q8.gguf": q8 });
  const { path } = await resolveModel("hf:org/model", options);
  t.true(readFileSync(path).equals(q8));
});
