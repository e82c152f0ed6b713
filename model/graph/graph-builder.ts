import { encodeOnnxModel } from "./onnx-proto.ts";
import type {
  OnnxAttribute,
  OnnxElementType,
  OnnxInitializer,
  OnnxNode,
  OnnxValueInfo,
} from "./onnx-proto.ts";
import type { PlainTensor, StageTensor, StageWeights } from "../stages/stage-tensor.ts";
import { QUANT_BLOCK_SIZE } from "../weights/quantize.ts";

/** An ONNX model whose weights lie beside it, each under the name of its external data file. */
export interface GraphModel {
  readonly graph: Uint8Array;
  readonly weights: ReadonlyMap<string, Uint8Array>;
}

/** Collects nodes and weights. Values are addressed by the names that the methods return, weights by their own. */
export class GraphBuilder {
  readonly #tensors: StageWeights;
  readonly #nodes: OnnxNode[] = [];
  readonly #initializers: OnnxInitializer[] = [];
  readonly #inputs: OnnxValueInfo[] = [];
  readonly #outputs: OnnxValueInfo[] = [];
  readonly #weights = new Map<string, Uint8Array>();
  /** Of values over their blocks. */
  readonly #sums = new Map<string, string>();
  /** Of integers, by their values or by the names of their parts. */
  readonly #vectors = new Map<string, string>();
  #numValues = 0;

  /** @param tensors that the graph may read */
  constructor(tensors: StageWeights = new Map()) {
    this.#tensors = tensors;
  }

  input(name: string, type: OnnxElementType, shape: readonly (number | string)[]): string {
    this.#inputs.push({ name, type, shape });
    return name;
  }

  /** Makes `value` an output of the model called `name`. */
  output(
    name: string,
    value: string,
    shape: readonly (number | string)[],
    type: OnnxElementType = "float32",
  ): void {
    this.#nodes.push({
      opType: "Identity",
      domain: "",
      inputs: [value],
      outputs: [name],
      attributes: {},
    });
    this.#outputs.push({ name, type, shape });
  }

  /** A node of the standard domain with one output. */
  op(
    opType: string,
    inputs: readonly string[],
    attributes: Record<string, OnnxAttribute> = {},
  ): string {
    return this.#node(opType, "", inputs, [this.#newValue(opType)], attributes)[0]!;
  }

  /** A node of ONNX Runtime's contributed operators with one output. */
  contrib(
    opType: string,
    inputs: readonly string[],
    attributes: Record<string, OnnxAttribute> = {},
  ): string {
    return this.#node(opType, "com.microsoft", inputs, [this.#newValue(opType)], attributes)[0]!;
  }

  /** Splits along an axis; `sizes` is the name of an int64 vector. */
  split(value: string, sizes: string, axis: number): [string, string] {
    const outputs = [this.#newValue("Split"), this.#newValue("Split")];
    this.#node("Split", "", [value, sizes], outputs, { axis: BigInt(axis) });
    return [outputs[0]!, outputs[1]!];
  }

  /** RMS norm of `residual + delta`; returns the norm and the sum. */
  skipNorm(residual: string, delta: string, gamma: string, epsilon: number): [string, string] {
    const [norm, sum] = [this.#newValue("norm"), this.#newValue("residual")];
    this.#node(
      "SkipSimplifiedLayerNormalization",
      "com.microsoft",
      [residual, delta, gamma],
      [norm, "", "", sum],
      { epsilon },
    );
    return [norm, sum];
  }

  /** A small constant inside the model, there once however often it is asked for. */
  int64(values: readonly number[]): string {
    const key = values.join();
    const known = this.#vectors.get(key);
    if (known !== undefined) return known;
    const name = this.#newValue("shape");
    this.#vectors.set(key, name);
    const data = new Uint8Array(BigInt64Array.from(values, BigInt).buffer);
    this.#initializers.push({ name, type: "int64", shape: [values.length], data });
    return name;
  }

  /** Vectors of integers one after the other, there once however often they are asked for. */
  join(parts: readonly string[]): string {
    const key = parts.join();
    const known = this.#vectors.get(key);
    if (known !== undefined) return known;
    const name = this.op("Concat", parts, { axis: 0n });
    this.#vectors.set(key, name);
    return name;
  }

  /** A number inside the model. */
  float32(value: number): string {
    const name = this.#newValue("scalar");
    const data = new Uint8Array(Float32Array.of(value).buffer);
    this.#initializers.push({ name, type: "float32", shape: [], data });
    return name;
  }

  /** `value` times a factor, where that changes it. */
  scaled(value: string, factor: number): string {
    return factor === 1 ? value : this.op("Mul", [value, this.float32(factor)]);
  }

  /** RMS norm over the last dimension, with the weight `name`. */
  norm(name: string, value: string, epsilon: number): string {
    return this.op("SimplifiedLayerNormalization", [value, this.plain(name)], {
      epsilon,
      axis: -1n,
    });
  }

  hasTensor(name: string): boolean {
    return this.#tensors.has(name);
  }

  /** A tensor of plain values as it is. */
  plain(name: string): string {
    const tensor = this.#tensor(name);
    if (tensor.kind === "plain") return this.#addPlain(name, tensor);
    throw new Error(`weight ${name} is quantised`);
  }

  /** The matrix `name` applied to the last dimension of x, and `<name>.bias` added where there is one. */
  linear(name: string, x: string): string {
    const biasName = `${name}.bias`;
    const bias = this.hasTensor(biasName) ? this.plain(biasName) : null;
    const matrix = this.#tensor(name);
    if (matrix.kind === "plain") {
      const product = this.op("MatMul", [x, this.#addPlain(name, matrix)]);
      return bias === null ? product : this.op("Add", [product, bias]);
    }
    const { bits, rows, columns, data, scales, zeroPoints, offsets } = matrix;
    const numBlocks = Math.ceil(columns / QUANT_BLOCK_SIZE);
    const bytesPerBlock = (QUANT_BLOCK_SIZE * bits) / 8;
    const inputs = [
      x,
      this.#weight(name, "uint8", [rows, numBlocks, bytesPerBlock], data),
      this.#weight(`${name}.scales`, "float32", [rows * numBlocks], scales),
    ];
    if (zeroPoints !== null) {
      inputs.push(this.#weight(`${name}.zeros`, "uint8", [zeroPoints.length], zeroPoints));
    }
    if (bias !== null) {
      // Zero points, if absent, and g_idx are left out by an empty name.
      while (inputs.length < 5) inputs.push("");
      inputs.push(bias);
    }
    const product = this.contrib("MatMulNBits", inputs, {
      K: BigInt(columns),
      N: BigInt(rows),
      bits: BigInt(bits),
      block_size: BigInt(QUANT_BLOCK_SIZE),
      // Activations as 8-bit integers per block: ONNX Runtime's fastest CPU kernels.
      accuracy_level: 4n,
    });
    if (offsets === null) return product;
    const matrixOfOffsets = this.#weight(`${name}.offsets`, "float32", [numBlocks, rows], offsets);
    return this.op("Add", [
      product,
      this.op("MatMul", [this.#blockSums(x, numBlocks), matrixOfOffsets]),
    ]);
  }

  /** Sums over the blocks of a value `[B, S, columns]`, which several matrices may read: `[B, S, numBlocks]`. */
  #blockSums(x: string, numBlocks: number): string {
    const known = this.#sums.get(x);
    if (known !== undefined) return known;
    const blocks = this.op("Reshape", [x, this.int64([0, 0, numBlocks, QUANT_BLOCK_SIZE])]);
    // ReduceSum gets the shape wrong where there are no rows.
    const column = this.op("MatMul", [blocks, this.#ones(QUANT_BLOCK_SIZE)]);
    const sums = this.op("Reshape", [column, this.int64([0, 0, numBlocks])]);
    this.#sums.set(x, sums);
    return sums;
  }

  /** Rows of the matrix `name` by index. */
  lookUp(name: string, indices: string): string {
    const matrix = this.#tensor(name);
    if (matrix.kind === "plain") {
      return this.op("Gather", [this.#addPlain(name, matrix), indices]);
    }
    const { rows, columns } = matrix;
    const numBlocks = Math.ceil(columns / QUANT_BLOCK_SIZE);
    const data = this.#weight(name, "uint8", [rows, columns], matrix.data);
    const scales = this.#weight(`${name}.scales`, "float32", [rows, numBlocks], matrix.scales);
    return this.contrib("GatherBlockQuantized", [data, indices, scales], {
      bits: 8n,
      block_size: BigInt(QUANT_BLOCK_SIZE),
      gather_axis: 0n,
      quantize_axis: 1n,
    });
  }

  finish(name: string): GraphModel {
    const graph = encodeOnnxModel({
      name,
      nodes: this.#nodes,
      initializers: this.#initializers,
      inputs: this.#inputs,
      outputs: this.#outputs,
    });
    return { graph, weights: this.#weights };
  }

  #node(
    opType: string,
    domain: string,
    inputs: readonly string[],
    outputs: readonly string[],
    attributes: Record<string, OnnxAttribute>,
  ): readonly string[] {
    this.#nodes.push({ opType, domain, inputs, outputs, attributes });
    return outputs;
  }

  #tensor(name: string): StageTensor {
    const tensor = this.#tensors.get(name);
    if (tensor === undefined) throw new Error(`there is no weight ${name}`);
    return tensor;
  }

  #addPlain(name: string, { shape, values }: PlainTensor): string {
    return this.#weight(name, "float32", shape, values);
  }

  #weight(
    name: string,
    type: OnnxElementType,
    shape: readonly number[],
    data: Float32Array | Uint8Array,
  ): string {
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    this.#weights.set(name, bytes);
    this.#initializers.push({
      name,
      type,
      shape,
      data: { file: name, offset: 0, length: bytes.length },
    });
    return name;
  }

  /** A column of ones inside the model, `[length, 1]`. */
  #ones(length: number): string {
    const name = this.#newValue("ones");
    const data = new Uint8Array(new Float32Array(length).fill(1).buffer);
    this.#initializers.push({ name, type: "float32", shape: [length, 1], data });
    return name;
  }

  #newValue(kind: string): string {
    return `${kind}_${this.#numValues++}`;
  }
}
