/**
 * Just enough of the ONNX protobuf schema (onnx.proto3, IR version 10) to write a model: the graphs
 * hold no weights, which are external data, so a model is a few kilobytes.
 */

export type OnnxElementType = "float32" | "float64" | "uint8" | "int32" | "int64";

const ELEMENT_TYPE: Record<OnnxElementType, number> = {
  float32: 1,
  uint8: 2,
  int32: 6,
  int64: 7,
  float64: 11,
};

export interface OnnxValueInfo {
  readonly name: string;
  readonly type: OnnxElementType;
  /** A string is a symbolic dimension. */
  readonly shape: readonly (number | string)[];
}

export type OnnxAttribute = number | bigint | string | readonly bigint[];

export interface OnnxNode {
  readonly opType: string;
  /** Empty for the standard operators. */
  readonly domain: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /** A number is written as a float, a bigint as an integer. */
  readonly attributes: Readonly<Record<string, OnnxAttribute>>;
}

export interface OnnxInitializer {
  readonly name: string;
  readonly type: OnnxElementType;
  readonly shape: readonly number[];
  /** Bytes in the model itself, or where they lie in the external data file. */
  readonly data:
    Uint8Array | { readonly file: string; readonly offset: number; readonly length: number };
}

export interface OnnxGraph {
  readonly name: string;
  readonly nodes: readonly OnnxNode[];
  readonly initializers: readonly OnnxInitializer[];
  readonly inputs: readonly OnnxValueInfo[];
  readonly outputs: readonly OnnxValueInfo[];
}

/** Serialises a graph as a model of opset 24 with ONNX Runtime's contributed operators. */
export function encodeOnnxModel(graph: OnnxGraph): Uint8Array {
  const model = new ProtoWriter();
  model.int(1, 10n);
  model.string(2, "seap-server");
  model.message(7, (message) => writeGraph(message, graph));
  model.message(8, (opset) => {
    opset.string(1, "");
    opset.int(2, 24n);
  });
  model.message(8, (opset) => {
    opset.string(1, "com.microsoft");
    opset.int(2, 1n);
  });
  return model.finish();
}

function writeGraph(message: ProtoWriter, graph: OnnxGraph): void {
  for (const node of graph.nodes) message.message(1, (inner) => writeNode(inner, node));
  message.string(2, graph.name);
  for (const initializer of graph.initializers) {
    message.message(5, (inner) => writeInitializer(inner, initializer));
  }
  for (const input of graph.inputs) message.message(11, (inner) => writeValueInfo(inner, input));
  for (const output of graph.outputs) message.message(12, (inner) => writeValueInfo(inner, output));
}

function writeNode(message: ProtoWriter, node: OnnxNode): void {
  for (const input of node.inputs) message.string(1, input);
  for (const output of node.outputs) message.string(2, output);
  message.string(3, node.outputs[0] ?? "");
  message.string(4, node.opType);
  for (const [name, value] of Object.entries(node.attributes)) {
    message.message(5, (inner) => writeAttribute(inner, name, value));
  }
  message.string(7, node.domain);
}

function writeAttribute(message: ProtoWriter, name: string, value: OnnxAttribute): void {
  message.string(1, name);
  if (typeof value === "number") {
    message.float(2, value);
    message.int(20, 1n);
  } else if (typeof value === "bigint") {
    message.int(3, value);
    message.int(20, 2n);
  } else if (typeof value === "string") {
    message.string(4, value);
    message.int(20, 3n);
  } else {
    for (const item of value) message.int(8, item);
    message.int(20, 7n);
  }
}

function writeInitializer(message: ProtoWriter, initializer: OnnxInitializer): void {
  for (const dim of initializer.shape) message.int(1, BigInt(dim));
  message.int(2, BigInt(ELEMENT_TYPE[initializer.type]));
  message.string(8, initializer.name);
  const { data } = initializer;
  if (data instanceof Uint8Array) {
    message.bytes(9, data);
    return;
  }
  const entries = { location: data.file, offset: String(data.offset), length: String(data.length) };
  for (const [key, value] of Object.entries(entries)) {
    message.message(13, (entry) => {
      entry.string(1, key);
      entry.string(2, value);
    });
  }
  message.int(14, 1n);
}

function writeValueInfo(message: ProtoWriter, info: OnnxValueInfo): void {
  message.string(1, info.name);
  message.message(2, (type) =>
    type.message(1, (tensor) => {
      tensor.int(1, BigInt(ELEMENT_TYPE[info.type]));
      tensor.message(2, (shape) => {
        for (const dim of info.shape) {
          shape.message(1, (inner) => {
            if (typeof dim === "number") inner.int(1, BigInt(dim));
            else inner.string(2, dim);
          });
        }
      });
    }),
  );
}

/** Protobuf wire format: varints, 32-bit floats and length-delimited fields. */
class ProtoWriter {
  readonly #bytes: number[] = [];

  int(field: number, value: bigint): void {
    this.#varint(field << 3);
    let rest = BigInt.asUintN(64, value);
    while (rest >= 1n << 28n) {
      this.#bytes.push(Number(rest & 0x7fn) | 0x80);
      rest >>= 7n;
    }
    this.#varint(Number(rest));
  }

  float(field: number, value: number): void {
    this.#varint((field << 3) | 5);
    this.#bytes.push(...new Uint8Array(Float32Array.of(value).buffer));
  }

  string(field: number, value: string): void {
    this.bytes(field, Buffer.from(value));
  }

  bytes(field: number, value: ArrayLike<number>): void {
    this.#varint((field << 3) | 2);
    this.#varint(value.length);
    for (let i = 0; i < value.length; i++) this.#bytes.push(value[i]!);
  }

  message(field: number, write: (inner: ProtoWriter) => void): void {
    const inner = new ProtoWriter();
    write(inner);
    this.bytes(field, inner.#bytes);
  }

  finish(): Uint8Array {
    return Uint8Array.from(this.#bytes);
  }

  /** @param value below 2 ** 31 */
  #varint(value: number): void {
    let rest = value;
    for (; rest >= 0x80; rest >>= 7) this.#bytes.push((rest & 0x7f) | 0x80);
    this.#bytes.push(rest);
  }
}
