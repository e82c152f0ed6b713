import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import test from "ava";
import { ArtifactStore, type ArtifactFile } from "../../../model/experts/artifact-store.ts";
import { ArtifactError } from "../../../model/errors.ts";
import { tempDir } from "../../helpers/temp-dir.ts";

const files: readonly ArtifactFile[] = [
  ["numbers.bin", [Uint8Array.of(1, 2, 3), Uint8Array.of(4)]],
  ["words.txt", [Buffer.from("words")]],
];

test("an artifact is read as it was written", async (t) => {
  const store = new ArtifactStore(tempDir(t));
  t.is(await store.read("key"), null);
  const written = await store.write("key", { task: "code" }, files);
  const read = await store.read("key");
  t.deepEqual({ ...read, path: 0 }, { ...written, path: 0 });
  t.deepEqual(read!.metadata, { task: "code" });
  t.deepEqual(read!.fileNames, ["numbers.bin", "words.txt"]);
  t.deepEqual([...readFileSync(read!.path("numbers.bin"))], [1, 2, 3, 4]);
  t.is(readFileSync(read!.path("words.txt"), "utf8"), "words");
  t.throws(() => read!.path("other"), { instanceOf: ArtifactError, message: /no file other/ });
  t.deepEqual(await store.keys(), ["key"]);
});

test("one file is read by itself, whatever has become of the others", async (t) => {
  const dir = tempDir(t);
  const store = new ArtifactStore(dir);
  t.is(await store.readFile("key", "words.txt"), null);
  await store.write("key", null, files);
  truncateSync(join(dir, "key", "numbers.bin"), 1);
  t.is(Buffer.from((await store.readFile("key", "words.txt"))!).toString(), "words");
  await t.throwsAsync(store.readFile("key", "other"), { message: /has no file other/ });
  await t.throwsAsync(store.readFile("key", "numbers.bin"), {
    instanceOf: ArtifactError,
    message: /1 bytes, expected 4/,
  });
});

test("a removed artifact is gone", async (t) => {
  const store = new ArtifactStore(tempDir(t));
  await store.write("key", null, files);
  await store.remove("key");
  await store.remove("key");
  t.is(await store.read("key"), null);
  t.deepEqual(await store.keys(), []);
});

test("an artifact that is there is kept, a damaged one replaced", async (t) => {
  const dir = tempDir(t);
  const store = new ArtifactStore(dir);
  await store.write("key", "first", files);
  t.is((await store.write("key", "second", files)).metadata, "first");
  truncateSync(join(dir, "key", "words.txt"), 2);
  t.is((await store.write("key", "third", files)).metadata, "third");
  t.is((await store.read("key"))!.metadata, "third");
});

test("content that cannot be made leaves nothing behind", async (t) => {
  const dir = tempDir(t);
  const store = new ArtifactStore(dir);
  function* failing(): Iterable<Uint8Array> {
    yield Uint8Array.of(1);
    throw new Error("no more");
  }
  await t.throwsAsync(store.write("key", null, [...files, ["bad.bin", failing()]]), {
    message: "no more",
  });
  t.is(await store.read("key"), null);
  t.deepEqual(readdirSync(join(dir, "tmp")), []);
});

test("names that would leave the folder are refused", async (t) => {
  const store = new ArtifactStore(tempDir(t));
  for (const key of ["", "..", "a/b", "tmp", ".hidden"]) {
    await t.throwsAsync(store.read(key), { instanceOf: ArtifactError }, key);
  }
  for (const name of ["../a", "a/b", "manifest.json", "metadata.json"]) {
    await t.throwsAsync(
      store.write("key", null, [[name, []]]),
      { instanceOf: ArtifactError, message: /cannot have a file called/ },
      name,
    );
  }
});

test("one flipped bit anywhere in an artifact is found", async (t) => {
  const dir = tempDir(t);
  const store = new ArtifactStore(dir);
  await store.write("key", { task: "code", tokens: 32_000 }, files);
  for (const name of readdirSync(join(dir, "key"))) {
    const path = join(dir, "key", name);
    const content = readFileSync(path);
    for (let index = 0; index < content.length; index++) {
      // White space between the manifest's fields says nothing.
      if (/\s/.test(String.fromCharCode(content[index]!))) continue;
      const damaged = Buffer.from(content);
      damaged[index]! ^= 1 << (index % 8);
      writeFileSync(path, damaged);
      await t.throwsAsync(
        store.read("key"),
        { instanceOf: ArtifactError },
        `${name}, byte ${index}`,
      );
    }
    writeFileSync(path, content);
  }
  t.not(await store.read("key"), null);
});

test("a missing or shortened file and another version are told apart", async (t) => {
  const dir = tempDir(t);
  const store = new ArtifactStore(dir);
  await store.write("whole", null, files);
  const damage = (key: string, apply: (folder: string) => void): void => {
    cpSync(join(dir, "whole"), join(dir, key), { recursive: true });
    apply(join(dir, key));
  };
  damage("missing", (folder) => rmSync(join(folder, "numbers.bin")));
  damage("short", (folder) => truncateSync(join(folder, "numbers.bin"), 3));
  damage("version", (folder) => {
    writeFileSync(join(folder, "manifest.json"), JSON.stringify({ version: 2, entries: [] }));
  });
  damage("empty", (folder) => {
    rmSync(folder, { recursive: true });
    mkdirSync(folder);
  });
  const message = async (key: string): Promise<string> => {
    const error = await t.throwsAsync(store.read(key), { instanceOf: ArtifactError });
    return error.message;
  };
  t.regex(await message("missing"), /numbers\.bin: cannot be opened/);
  t.regex(await message("short"), /has 3 bytes, expected 4/);
  t.regex(await message("version"), /has version 2, expected 1/);
  t.regex(await message("empty"), /manifest\.json: cannot be read/);
});

test("writers of one key at the same time all end with a whole artifact", async (t) => {
  const dir = tempDir(t);
  const written = await Promise.all(
    Array.from({ length: 8 }, (_, index) => new ArtifactStore(dir).write("key", index, files)),
  );
  const kept = (await new ArtifactStore(dir).read("key"))!.metadata;
  for (const { metadata } of written) t.is(metadata, kept);
  t.deepEqual(readdirSync(join(dir, "tmp")), []);
});

test("two writers killed at random moments never leave an artifact that is not whole", async (t) => {
  const dir = tempDir(t);
  const script = new URL("../../helpers/write-artifacts.js", import.meta.url).pathname;
  let found = 0;
  for (let round = 0; round < 20; round++) {
    const children = [0, 1].map(() =>
      spawn(process.execPath, [script, dir], { stdio: ["ignore", "pipe", "inherit"] }),
    );
    await Promise.all(children.map((child) => once(child.stdout, "data")));
    for (const child of children) {
      const exit = once(child, "exit");
      setTimeout(() => child.kill("SIGKILL"), Math.random() * 20);
      t.is((await exit)[1], "SIGKILL");
    }
    const store = new ArtifactStore(dir);
    for (const key of await store.keys()) {
      const artifact = await store.read(key);
      t.deepEqual(artifact!.fileNames, ["first.bin", "second.bin"]);
      t.is(readFileSync(artifact!.path("second.bin"), "utf8"), key);
      found += 1;
    }
  }
  t.true(found > 0);
  t.true(existsSync(join(dir, "tmp")));
});
