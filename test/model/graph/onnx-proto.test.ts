import test from "ava";
import * as ort from "onnxruntime-node";
import { encodeOnnxModel } from "../../../model/graph/onnx-proto.ts";
import type { OnnxGraph } from "../../../model/graph/onnx-proto.ts";

type Field = readonly [field: number, value: bigint | Buffer];

/** The fields of one protobuf message in order; 32-bit fields as their 4 bytes. */
function fieldsOf(bytes: Buffer): Field[] {
  const fields: Field[] = [];
  let offset = 0;
  const varint = (): bigint => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = bytes[offset++]!;
      value |= BigInt(byte & 127) << shift;
      if (byte < 128) return value;
    }
  };
  const take = (length: number): Buffer => bytes.subarray(offset, (offset += length));
  while (offset < bytes.length) {
    const key = Number(varint());
    const wireType = key & 7;
    if (wireType === 0) fields.push([key >> 3, varint()]);
    else if (wireType === 2) fields.push([key >> 3, take(Number(varint()))]);
    else if (wireType === 5) fields.push([key >> 3, take(4)]);
    else throw new Error(`wire type ${wireType}`);
  }
  return fields;
}

/** The values of one field. */
function valuesOf(message: Buffer | bigint | undefined, field: number): (bigint | Buffer)[] {
  if (!Buffer.isBuffer(message)) throw new Error("not a message");
  return fieldsOf(message)
    .filter(([number]) => number === field)
    .map(([, value]) => value);
}

const text = (value: bigint | Buffer | undefined) => (value as Buffer).toString();

const empty: OnnxGraph = { name: "g", nodes: [], initializers: [], inputs: [], outputs: [] };

const encode = (graph: Partial<OnnxGraph>) => Buffer.from(encodeOnnxModel({ ...empty, ...graph }));

test("a model names its version, its producer and both operator sets", (t) => {
  const model = encode({});
  t.deepEqual(valuesOf(model, 1), [10n]);
  t.deepEqual(valuesOf(model, 2).map(text), ["seap-server"]);
  const operatorSets = valuesOf(model, 8).map((set) => [
    text(valuesOf(set, 1)[0]),
    valuesOf(set, 2)[0],
  ]);
  t.deepEqual(operatorSets, [
    ["", 24n],
    ["com.microsoft", 1n],
  ]);
});

test("attributes carry their type: float, int, negative int, string and ints", (t) => {
  const model = encode({
    nodes: [
      {
        opType: "Op",
        domain: "d",
        inputs: ["a", ""],
        outputs: ["b"],
        attributes: { f: 1.5, i: 300n, n: -1n, s: "é", l: [0n, -2n] },
      },
    ],
  });
  const node = valuesOf(valuesOf(model, 7)[0], 1)[0];
  t.deepEqual(valuesOf(node, 1).map(text), ["a", ""]);
  t.deepEqual(valuesOf(node, 2).map(text), ["b"]);
  t.deepEqual(
    [4, 7].map((field) => text(valuesOf(node, field)[0])),
    ["Op", "d"],
  );
  const minusOne = 2n ** 64n - 1n;
  const attributes = valuesOf(node, 5).map((attribute) => ({
    name: text(valuesOf(attribute, 1)[0]),
    type: valuesOf(attribute, 20)[0],
    values: [2, 3, 4, 8].flatMap((field) => valuesOf(attribute, field)),
  }));
  t.deepEqual(attributes, [
    { name: "f", type: 1n, values: [Buffer.from([0, 0, 0xc0, 0x3f])] },
    { name: "i", type: 2n, values: [300n] },
    { name: "n", type: 2n, values: [minusOne] },
    { name: "s", type: 3n, values: [Buffer.from("é")] },
    { name: "l", type: 7n, values: [0n, minusOne - 1n] },
  ]);
});

test("ONNX Runtime reads constants inside the model, weights beside it and symbolic shapes", async (t) => {
  const graph = encodeOnnxModel({
    name: "g",
    nodes: [
      {
        opType: "Gather",
        domain: "",
        inputs: ["table", "ids"],
        outputs: ["rows"],
        attributes: { axis: 0n },
      },
      {
        opType: "Reshape",
        domain: "",
        inputs: ["rows", "shape"],
        outputs: ["flat"],
        attributes: {},
      },
      {
        opType: "QuickGelu",
        domain: "com.microsoft",
        inputs: ["flat"],
        outputs: ["y"],
        attributes: { alpha: 1 },
      },
    ],
    initializers: [
      {
        name: "shape",
        type: "int64",
        shape: [1],
        data: new Uint8Array(BigInt64Array.of(-1n).buffer),
      },
      {
        name: "table",
        type: "float32",
        shape: [3, 2],
        data: { file: "weights", offset: 8, length: 24 },
      },
    ],
    inputs: [{ name: "ids", type: "int64", shape: ["N"] }],
    outputs: [{ name: "y", type: "float32", shape: ["M"] }],
  });
  const data = new Uint8Array(Float32Array.of(9, 9, 0, 1, 2, 3, -1, -2).buffer);
  const session = await ort.InferenceSession.create(graph, {
    externalData: [{ path: "weights", data }],
  });
  t.teardown(() => session.release());
  const silu = (x: number) => x / (1 + Math.exp(-x));
  for (const ids of [[2], [1, 0, 2]]) {
    const feed = new ort.Tensor("int64", BigInt64Array.from(ids, BigInt), [ids.length]);
    const { y } = await session.run({ ids: feed });
    const expected = ids.flatMap(
      (id) =>
        [
          [0, 1],
          [2, 3],
          [-1, -2],
        ][id]!,
    );
    t.deepEqual(y!.dims, [2 * ids.length]);
    for (const [i, value] of (y!.data as Float32Array).entries()) {
      t.true(Math.abs(value - silu(expected[i]!)) < 1e-6);
    }
  }
});
