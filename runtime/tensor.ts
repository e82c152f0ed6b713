import { Tensor } from "onnxruntime-node";

export type { Tensor };

/** Tensors by the names that a graph gives its inputs. */
export type Feeds = Readonly<Record<string, Tensor>>;

/** A tensor over memory that a session reads in place: what changes there before a pass is what the pass sees. */
export function tensor(
  data: Float32Array | Float64Array | BigInt64Array,
  dims: readonly number[],
): Tensor {
  if (data instanceof Float32Array) return new Tensor("float32", data, dims);
  if (data instanceof Float64Array) return new Tensor("float64", data, dims);
  return new Tensor("int64", data, dims);
}

/** A vector of integers. */
export function integers(values: readonly number[]): Tensor {
  return tensor(BigInt64Array.from(values, BigInt), [values.length]);
}
