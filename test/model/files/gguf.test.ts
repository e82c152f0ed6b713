import { closeSync, openSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import fc from "fast-check";
import { ModelLoadError } from "../../../model/errors.ts";
import { openGguf } from "../../../model/files/gguf.ts";
import { ggufBytes, writeGguf, type WritableTensor } from "../../helpers/gguf-writer.ts";
import { tempDir } from "../../helpers/temp-dir.ts";

const ramp = (length: number): Float32Array => Float32Array.from({ length }, (_, i) => i - 7);

const tensors: readonly WritableTensor[] = [
  { name: "single", shape: [2, 3], type: "F32", data: ramp(6) },
  { name: "half", shape: [5], type: "F16", data: ramp(5) },
  { name: "brain", shape: [3, 1, 2], type: "BF16", data: ramp(6) },
  { name: "bytes", shape: [2, 32], type: "Q8_0", data: ramp(64) },
];

function rejects(t: ExecutionContext, content: Buffer, message: RegExp): void {
  const path = join(tempDir(t), "model.gguf");
  writeFileSync(path, content);
  const error = t.throws(() => openGguf(path), { instanceOf: ModelLoadError, message });
  t.true(error?.message.startsWith(path));
}

test("tensors come back with row-major shapes and their values", (t) => {
  const path = join(tempDir(t), "model.gguf");
  writeGguf(path, { "general.architecture": "llama" }, tensors);
  const checkpoint = openGguf(path);
  t.teardown(() => checkpoint.close());
  t.deepEqual(checkpoint.tensorNames, ["single", "half", "brain", "bytes"]);
  for (const { name, shape } of tensors) t.deepEqual(checkpoint.tensorShape(name), shape);
  t.deepEqual(checkpoint.readTensor("single"), ramp(6));
  t.deepEqual(checkpoint.readTensor("half"), ramp(5));
  t.deepEqual(checkpoint.readTensor("brain"), ramp(6));
  const decoded = checkpoint.readTensor("bytes");
  t.true(ramp(64).every((value, i) => Math.abs(value - decoded[i]!) < 0.3));
});

test("metadata of every type come back, 64-bit integers as bigints", (t) => {
  const path = join(tempDir(t), "model.gguf");
  const metadata = {
    text: "Grüße",
    count: 7,
    negative: -3,
    real: 0.5,
    yes: true,
    no: false,
    long: 2n ** 60n,
    texts: ["a", "", "日本"],
    reals: [1, 0.25],
  };
  writeGguf(path, metadata, []);
  const checkpoint = openGguf(path);
  t.teardown(() => checkpoint.close());
  t.deepEqual({ ...checkpoint.metadata }, metadata);
});

test("a token that begins with a byte order mark keeps it", (t) => {
  const path = join(tempDir(t), "model.gguf");
  const tokens = ["\ufeff", "\ufeffusing", "a"];
  writeGguf(path, { "tokenizer.ggml.tokens": tokens }, []);
  const checkpoint = openGguf(path);
  t.teardown(() => checkpoint.close());
  t.deepEqual(checkpoint.metadata["tokenizer.ggml.tokens"], tokens);
});

test("a header and tensors larger than what is read at once come back whole", (t) => {
  const path = join(tempDir(t), "model.gguf");
  const tokens = Array.from({ length: 150_000 }, (_, i) => `token number ${i}`);
  const large = ramp(1_000_000);
  writeGguf(path, { "tokenizer.ggml.tokens": tokens }, [
    { name: "large", shape: [1000, 1000], type: "F32", data: large },
  ]);
  const checkpoint = openGguf(path);
  t.teardown(() => checkpoint.close());
  const read = checkpoint.metadata["tokenizer.ggml.tokens"] as string[];
  t.is(read.length, tokens.length);
  t.is(
    read.findIndex((token, i) => token !== tokens[i]),
    -1,
  );
  t.is(
    Buffer.compare(Buffer.from(checkpoint.readTensor("large").buffer), Buffer.from(large.buffer)),
    0,
  );
});

test("a tensor beyond 4 GiB is read", (t) => {
  const path = join(tempDir(t), "model.gguf");
  const data = ramp(16);
  const tensor = (name: string): WritableTensor => ({ name, shape: [16], type: "F32", data });
  const small = ggufBytes({}, [tensor("first"), tensor("second")]);
  const largeValues = 2 ** 30 + 16;
  const shapeOf = (name: string): number => small.indexOf(name) + name.length + 4;
  small.writeBigUInt64LE(BigInt(largeValues), shapeOf("first"));
  small.writeBigUInt64LE(BigInt(largeValues * 4), shapeOf("second") + 8 + 4);
  // A sparse file: the first tensor is a hole.
  const dataStart = small.length - 2 * data.byteLength;
  const file = openSync(path, "w");
  writeSync(file, small, 0, dataStart, 0);
  writeSync(file, data, 0, data.byteLength, dataStart + largeValues * 4);
  closeSync(file);
  const checkpoint = openGguf(path);
  t.teardown(() => checkpoint.close());
  t.deepEqual(checkpoint.tensorShape("first"), [largeValues]);
  t.deepEqual(checkpoint.readTensor("second"), data);
});

test("version 2 and another alignment are read", (t) => {
  const path = join(tempDir(t), "model.gguf");
  writeGguf(path, {}, tensors, { version: 2, alignment: 128 });
  const checkpoint = openGguf(path);
  t.teardown(() => checkpoint.close());
  t.deepEqual(checkpoint.readTensor("brain"), ramp(6));
});

test("reading an unknown tensor or a closed file is an error that says so", (t) => {
  const path = join(tempDir(t), "model.gguf");
  writeGguf(path, {}, tensors);
  const checkpoint = openGguf(path);
  t.is(checkpoint.tensorShape("other"), undefined);
  t.throws(() => checkpoint.readTensor("other"), {
    instanceOf: ModelLoadError,
    message: /has no tensor other/,
  });
  checkpoint.close();
  checkpoint.close();
  t.throws(() => checkpoint.readTensor("single"), {
    instanceOf: ModelLoadError,
    message: /was closed/,
  });
});

test("a file cut off anywhere is an error", (t) => {
  const whole = ggufBytes({ "general.architecture": "llama", texts: ["a", "b"] }, tensors);
  const path = join(tempDir(t), "model.gguf");
  fc.assert(
    fc.property(fc.nat({ max: whole.length - 1 }), (length) => {
      writeFileSync(path, whole.subarray(0, length));
      try {
        openGguf(path);
        t.fail(`opened with ${length} bytes`);
      } catch (error) {
        t.true(error instanceof ModelLoadError, String(error));
      }
    }),
    { numRuns: 300 },
  );
});

test("a file with damaged bytes opens or gives a model error, nothing else", (t) => {
  const whole = ggufBytes({ "general.architecture": "llama", texts: ["a", "b"] }, tensors);
  const path = join(tempDir(t), "model.gguf");
  const change = fc.tuple(fc.nat({ max: whole.length - 1 }), fc.nat({ max: 255 }));
  fc.assert(
    fc.property(fc.array(change, { minLength: 1, maxLength: 8 }), (changes) => {
      const damaged = Buffer.from(whole);
      for (const [at, value] of changes) damaged[at] = value;
      writeFileSync(path, damaged);
      try {
        const checkpoint = openGguf(path);
        for (const name of checkpoint.tensorNames) checkpoint.readTensor(name);
        checkpoint.close();
      } catch (error) {
        t.true(error instanceof ModelLoadError, String(error));
      }
    }),
    { numRuns: 1000 },
  );
});

test("a truncated tensor is named with the expected and the actual size", (t) => {
  const whole = ggufBytes({}, [{ name: "only", shape: [4], type: "F32", data: ramp(4) }]);
  rejects(
    t,
    whole.subarray(0, whole.length - 1),
    new RegExp(
      `tensor only needs bytes ${whole.length - 16} to ${whole.length}, but the file has ${whole.length - 1}`,
    ),
  );
});

test("a truncated header says where it ends", (t) => {
  rejects(t, ggufBytes({ key: "value" }, []).subarray(0, 40), /ends within its header.*40 bytes/);
});

test("other files and versions are rejected", (t) => {
  const whole = ggufBytes({}, tensors);
  rejects(
    t,
    Buffer.from("PK\x03\x04 a zip archive"),
    /expected it to start with "GGUF", found "PK/,
  );
  rejects(t, Buffer.alloc(0), /ends within its header/);
  const old = Buffer.from(whole);
  old.writeUInt32LE(1, 4);
  rejects(t, old, /has GGUF version 1, expected version 2 or 3/);
});

test("element types that are not read are named with their tensor", (t) => {
  const content = ggufBytes({}, [
    { name: "blk.0.x", shape: [32], type: "IQ4_NL", data: new Uint8Array(18) },
  ]);
  rejects(t, content, /tensor blk\.0\.x has type IQ4_NL, expected one of F32, F16, Q4_0/);
});

test("rows that are not whole blocks are rejected", (t) => {
  const content = ggufBytes({}, [
    { name: "x", shape: [32, 16], type: "Q4_0", data: new Uint8Array(18 * 16) },
  ]);
  rejects(t, content, /tensor x has rows of 16 values, expected a multiple of 32 for Q4_0/);
});

test("tensors that occur twice, overlap or are empty are rejected", (t) => {
  const data = ramp(16);
  const tensor = (name: string, shape = [16]): WritableTensor => ({
    name,
    shape,
    type: "F32",
    data,
  });
  rejects(t, ggufBytes({}, [tensor("x"), tensor("x")]), /tensor x occurs twice/);
  rejects(t, ggufBytes({}, [tensor("x", [0])]), /tensor x has an impossible shape \[0\]/);
  const overlapping = ggufBytes({}, [tensor("x"), tensor("y")]);
  const second = overlapping.indexOf(Buffer.from("y")) + 1 + 4 + 8 + 4;
  overlapping.writeBigUInt64LE(32n, second);
  rejects(t, overlapping, /tensor y starts at byte \d+, inside tensor x/);
});

test("an alignment that is no power of two is rejected", (t) => {
  rejects(t, ggufBytes({ "general.alignment": 48 }, []), /general\.alignment.*power of two/);
});

test("a folder or a missing path is an error", (t) => {
  const folder = tempDir(t);
  t.throws(() => openGguf(folder), { instanceOf: ModelLoadError, message: /expected a file/ });
  t.throws(() => openGguf(join(folder, "none.gguf")), {
    instanceOf: ModelLoadError,
    message: /cannot be opened/,
  });
});
