import { encodeOnnxModel } from "./onnx-proto.ts";
import type {
  OnnxAttribute,
  OnnxElementType,
  OnnxInitializer,
  OnnxNode,
  OnnxValueInfo,
} from "./onnx-proto.ts";
import { QUANT_BLOCK_SIZE, quantize } from "../weights/quantize.ts";
import type { WeightFormat } from "../weights/quantize.ts";

/** An ONNX model whose weights lie beside it, each under the name of its external data file. */
export interface GraphModel {
  readonly graph: Uint8Array;
  readonly weights: ReadonlyMap<string, Uint8Array>;
}

/** Collects nodes and weights. Values are addressed by the names that the methods return. */
export class GraphBuilder {
  readonly #nodes: OnnxNode[] = [];
  readonly #initializers: OnnxInitializer[] = [];
  readonly #inputs: OnnxValueInfo[] = [];
  readonly #outputs: OnnxValueInfo[] = [];
  readonly #weights = new Map<string, Uint8Array>();
  #numValues = 0;

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

  /** A small constant inside the model. */
  int64(values: readonly number[]): string {
    const name = this.#newValue("shape");
    const data = new Uint8Array(BigInt64Array.from(values, BigInt).buffer);
    this.#initializers.push({ name, type: "int64", shape: [values.length], data });
    return name;
  }

  weight(
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

  /**
   * x · matrixᵀ + bias.
   * @param matrix shape `[rows, columns]`, row-major: `columns` is the last dimension of `x`
   * @param bias shape `[rows]`
   */
  linear(
    name: string,
    x: string,
    matrix: Float32Array,
    rows: number,
    format: WeightFormat,
    bias: Float32Array | null = null,
  ): string {
    const columns = matrix.length / rows;
    const addend = bias && this.weight(`${name}.bias`, "float32", [rows], bias);
    if (format === "f32") {
      const transposed = transpose(matrix, rows, columns);
      const weight = this.weight(name, "float32", [columns, rows], transposed);
      const product = this.op("MatMul", [x, weight]);
      return addend ? this.op("Add", [product, addend]) : product;
    }
    const quantized = quantize(matrix, rows, columns, format === "q8" ? 8 : 4);
    const numBlocks = Math.ceil(columns / QUANT_BLOCK_SIZE);
    const bytesPerBlock = (QUANT_BLOCK_SIZE * quantized.bits) / 8;
    const inputs = [
      x,
      this.weight(name, "uint8", [rows, numBlocks, bytesPerBlock], quantized.data),
      this.weight(`${name}.scales`, "float32", [rows * numBlocks], quantized.scales),
    ];
    if (quantized.zeroPoints) {
      const shape = [quantized.zeroPoints.length];
      inputs.push(this.weight(`${name}.zeros`, "uint8", shape, quantized.zeroPoints));
    }
    if (addend) {
      // Zero points, if absent, and g_idx are left out by an empty name.
      while (inputs.length < 5) inputs.push("");
      inputs.push(addend);
    }
    return this.contrib("MatMulNBits", inputs, {
      K: BigInt(columns),
      N: BigInt(rows),
      bits: BigInt(quantized.bits),
      block_size: BigInt(QUANT_BLOCK_SIZE),
      // Activations as 8-bit integers per block: ONNX Runtime's fastest CPU kernels.
      accuracy_level: 4n,
    });
  }

  /**
   * Rows of a matrix by index.
   * @param matrix shape `[rows, columns]`, row-major
   */
  lookUp(
    name: string,
    indices: string,
    matrix: Float32Array,
    rows: number,
    format: WeightFormat,
  ): string {
    const columns = matrix.length / rows;
    // The quantised operator has no padding for a row's last block.
    if (format === "f32" || columns % QUANT_BLOCK_SIZE !== 0) {
      return this.op("Gather", [this.weight(name, "float32", [rows, columns], matrix), indices]);
    }
    const quantized = quantize(matrix, rows, columns, 8);
    const numBlocks = Math.ceil(columns / QUANT_BLOCK_SIZE);
    const data = this.weight(name, "uint8", [rows, columns], quantized.data);
    const scales = this.weight(`${name}.scales`, "float32", [rows, numBlocks], quantized.scales);
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

  #newValue(kind: string): string {
    return `${kind}_${this.#numValues++}`;
  }
}

function transpose(matrix: Float32Array, rows: number, columns: number): Float32Array {
  const result = new Float32Array(matrix.length);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      result[column * rows + row] = matrix[row * columns + column]!;
    }
  }
  return result;
}
