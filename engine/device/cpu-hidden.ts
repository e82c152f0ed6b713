import type { HiddenStates } from "./device.ts";

/** Rows of a matrix that may be several sequences'. */
export class CpuHidden implements HiddenStates {
  readonly hiddenSize: number;
  readonly numRows: number;
  readonly #all: Float32Array;
  readonly #firstRow: number;

  /** @param all shape `[.., hiddenSize]`; the rows from `firstRow` on are the sequence's */
  constructor(all: Float32Array, hiddenSize: number, firstRow: number, numRows: number) {
    this.hiddenSize = hiddenSize;
    this.numRows = numRows;
    this.#all = all;
    this.#firstRow = firstRow;
  }

  get data(): Float32Array {
    const start = this.#firstRow * this.hiddenSize;
    return this.#all.subarray(start, start + this.numRows * this.hiddenSize);
  }

  get sizeBytes(): number {
    return this.numRows * this.hiddenSize * Float32Array.BYTES_PER_ELEMENT;
  }

  /** In memory of its own. */
  copy(): CpuHidden {
    return new CpuHidden(this.data.slice(), this.hiddenSize, 0, this.numRows);
  }

  dispose(): void {
    // Garbage collected.
  }

  /** The rows of all, one after the other: where they lie so already, without a copy. */
  static join(parts: readonly CpuHidden[]): Float32Array {
    const [first] = parts;
    let [numRows, isInPlace] = [0, true];
    for (const part of parts) {
      isInPlace &&= part.#all === first!.#all && part.#firstRow === first!.#firstRow + numRows;
      numRows += part.numRows;
    }
    const { hiddenSize } = first!;
    if (isInPlace) {
      const start = first!.#firstRow * hiddenSize;
      return first!.#all.subarray(start, start + numRows * hiddenSize);
    }
    const joined = new Float32Array(numRows * hiddenSize);
    let offset = 0;
    for (const { data } of parts) {
      joined.set(data, offset);
      offset += data.length;
    }
    return joined;
  }
}
