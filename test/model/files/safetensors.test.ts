import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import fc from "fast-check";
import { ModelLoadError } from "../../../model/errors.ts";
import { openSafetensors } from "../../../model/files/safetensors.ts";
import {
  safetensorsBytes,
  safetensorsHeader,
  writeModelFolder,
  writeShards,
  type WritableSafetensor,
} from "../../helpers/safetensors-writer.ts";
import { tempDir } from "../../helpers/temp-dir.ts";

const ramp = (length: number): Float32Array => Float32Array.from({ length }, (_, i) => i - 2);

const tensors: readonly WritableSafetensor[] = [
  { name: "brain", shape: [3], dtype: "BF16", data: ramp(3) },
  { name: "single", shape: [2, 3], dtype: "F32", data: ramp(6) },
  { name: "half", shape: [2, 1, 2], dtype: "F16", data: ramp(4) },
];

function folderWith(t: ExecutionContext, weights: Buffer): string {
  const folder = tempDir(t);
  writeModelFolder(folder, {}, []);
  writeFileSync(join(folder, "model.safetensors"), weights);
  return folder;
}

function rejects(t: ExecutionContext, folder: string, message: RegExp): void {
  const error = t.throws(() => openSafetensors(folder), { instanceOf: ModelLoadError, message });
  t.true(error?.message.startsWith(folder));
}

test("tensors come back with their shapes and values", async (t) => {
  const folder = tempDir(t);
  writeModelFolder(folder, { model_type: "llama" }, tensors);
  const checkpoint = openSafetensors(folder);
  t.teardown(() => checkpoint.close());
  t.deepEqual(checkpoint.config, { model_type: "llama" });
  t.deepEqual(checkpoint.tensorNames, ["brain", "single", "half"]);
  for (const { name, shape, data } of tensors) {
    t.deepEqual(checkpoint.tensorShape(name), shape);
    t.deepEqual(checkpoint.readTensor(name), data);
  }
  t.is(checkpoint.tensorShape("other"), undefined);
  t.throws(() => checkpoint.readTensor("other"), { instanceOf: ModelLoadError });
  t.regex(await checkpoint.contentHash(), /^[0-9a-f]{64}$/);
});

test("shards named by the index are one checkpoint", (t) => {
  const folder = tempDir(t);
  writeModelFolder(folder, {}, []);
  rmSync(join(folder, "model.safetensors"));
  writeShards(folder, [tensors.slice(0, 1), tensors.slice(1)]);
  const checkpoint = openSafetensors(folder);
  t.teardown(() => checkpoint.close());
  for (const { name, data } of tensors) t.deepEqual(checkpoint.readTensor(name), data);
});

test("the content hash follows weights and configuration", async (t) => {
  const hashOf = async (config: object, data: Float32Array): Promise<string> => {
    const folder = tempDir(t);
    writeModelFolder(folder, config, [{ name: "x", shape: [4], dtype: "F32", data }]);
    const checkpoint = openSafetensors(folder);
    const hash = await checkpoint.contentHash();
    checkpoint.close();
    return hash;
  };
  const hash = await hashOf({ a: 1 }, ramp(4));
  t.is(await hashOf({ a: 1 }, ramp(4)), hash);
  t.not(await hashOf({ a: 2 }, ramp(4)), hash);
  t.not(await hashOf({ a: 1 }, Float32Array.of(-2, -1, 0, 2)), hash);
});

test("an index that names a missing file or tensor is an error that says which", (t) => {
  const folder = tempDir(t);
  writeModelFolder(folder, {}, []);
  rmSync(join(folder, "model.safetensors"));
  writeShards(folder, [tensors.slice(0, 1), tensors.slice(1)]);
  const indexPath = join(folder, "model.safetensors.index.json");
  const index = readFileSync(indexPath, "utf8");

  writeFileSync(indexPath, index.replace('"brain"', '"absent"'));
  rejects(t, folder, /places tensor absent in model-00001-of-00002\.safetensors/);
  writeFileSync(indexPath, index.replace('"model-00001-of', '"../model-00001-of'));
  rejects(t, folder, /names the file \.\.\/model-00001/);
  writeFileSync(indexPath, index);
  rmSync(join(folder, "model-00002-of-00002.safetensors"));
  rejects(t, folder, /names the file model-00002-of-00002\.safetensors, which is not/);
});

test("a folder without weights or configuration is an error", (t) => {
  const folder = tempDir(t);
  rejects(t, folder, /config\.json: cannot be read/);
  writeFileSync(join(folder, "config.json"), "{");
  rejects(t, folder, /config\.json: is not valid JSON/);
  writeFileSync(join(folder, "config.json"), "{}");
  rejects(
    t,
    folder,
    /has no weights: expected model\.safetensors or model\.safetensors\.index\.json/,
  );
});

test("a file cut off anywhere is an error", (t) => {
  const whole = safetensorsBytes(tensors);
  const folder = folderWith(t, whole);
  fc.assert(
    fc.property(fc.nat({ max: whole.length - 1 }), (length) => {
      writeFileSync(join(folder, "model.safetensors"), whole.subarray(0, length));
      try {
        openSafetensors(folder);
        t.fail(`opened with ${length} bytes`);
      } catch (error) {
        t.true(error instanceof ModelLoadError, String(error));
      }
    }),
    { numRuns: 200 },
  );
});

test("a header longer than the file or than any real one is rejected before it is read", (t) => {
  const whole = safetensorsBytes(tensors);
  whole.writeBigUInt64LE(BigInt(whole.length), 0);
  rejects(t, folderWith(t, whole), /states a header of \d+ bytes, expected at most \d+/);
  whole.writeBigUInt64LE(2n ** 63n, 0);
  rejects(t, folderWith(t, whole), /states a header of/);
});

test("tensors that do not fit their header are named", (t) => {
  const withHeader = (header: unknown): string =>
    folderWith(t, Buffer.concat([safetensorsHeader(header), Buffer.alloc(64)]));
  const tensor = (begin: number, end: number, shape = [4]): object => ({
    dtype: "F32",
    shape,
    data_offsets: [begin, end],
  });
  rejects(
    t,
    withHeader({ x: tensor(0, 12) }),
    /tensor x of shape \[4\] and type F32 has 12 bytes, expected 16/,
  );
  rejects(
    t,
    withHeader({ x: tensor(0, 16), y: tensor(12, 28) }),
    /tensor y starts at byte \d+, inside tensor x/,
  );
  rejects(t, withHeader({ x: tensor(56, 72) }), /tensor x needs bytes .* truncated/);
  rejects(
    t,
    withHeader({ x: { ...tensor(0, 16), dtype: "F8_E4M3" } }),
    /tensor x has type F8_E4M3/,
  );
  rejects(t, withHeader({ x: { ...tensor(0, 16), shape: "4" } }), /x\.shape/);
});
