import * as ort from "onnxruntime-node";

/** Cosines and sines of the rotary embedding by position, computed as far as positions were asked for. */
export class RotaryTable {
  readonly #inverseFrequencies: Float32Array;
  /** `[positions, headDim / 2]` */
  #cos = new Float32Array(0);
  #sin = new Float32Array(0);

  /** @param inverseFrequencies radians per position, shape `[headDim / 2]` */
  constructor(inverseFrequencies: Float32Array) {
    this.#inverseFrequencies = inverseFrequencies;
  }

  /** The rows of the new tokens of a batch, in batch order, and their row numbers as position ids. */
  feeds(pastLengths: readonly number[], numNewTokens: number): Record<string, ort.Tensor> {
    const width = this.#inverseFrequencies.length;
    this.#extendTo(Math.max(...pastLengths) + numNewTokens);
    const numRows = pastLengths.length * numNewTokens;
    const cos = new Float32Array(numRows * width);
    const sin = new Float32Array(numRows * width);
    for (const [sequence, past] of pastLengths.entries()) {
      const [start, end] = [past * width, (past + numNewTokens) * width];
      cos.set(this.#cos.subarray(start, end), sequence * numNewTokens * width);
      sin.set(this.#sin.subarray(start, end), sequence * numNewTokens * width);
    }
    const positions = BigInt64Array.from({ length: numRows }, (_, row) => BigInt(row));
    return {
      cos: new ort.Tensor("float32", cos, [numRows, width]),
      sin: new ort.Tensor("float32", sin, [numRows, width]),
      position_ids: new ort.Tensor("int64", positions, [pastLengths.length, numNewTokens]),
    };
  }

  #extendTo(numPositions: number): void {
    const width = this.#inverseFrequencies.length;
    if (numPositions * width <= this.#cos.length) return;
    const known = this.#cos.length;
    const length = Math.max(numPositions, (2 * known) / width) * width;
    const [cos, sin] = [new Float32Array(length), new Float32Array(length)];
    cos.set(this.#cos);
    sin.set(this.#sin);
    for (let i = known; i < length; i++) {
      const angle = Math.floor(i / width) * this.#inverseFrequencies[i % width]!;
      cos[i] = Math.cos(angle);
      sin[i] = Math.sin(angle);
    }
    this.#cos = cos;
    this.#sin = sin;
  }
}
