/** Adds up a prompt's hidden states while the prompt is computed. */
export class PromptPool {
  /** Shape `[hiddenSize]`. The mean and the sum point the same way. */
  #sum = new Float64Array(0);

  /**
   * Takes the prompt's next tokens, from `start` on; from 0 on again where the prefill begins anew.
   * @param rows shape `[numTokens, hiddenSize]`
   * @param numRows tokens among them
   */
  add(start: number, rows: Float32Array, numRows: number): void {
    const hiddenSize = rows.length / numRows;
    if (start === 0) this.#sum = new Float64Array(hiddenSize);
    for (let row = 0; row < numRows; row++) {
      for (let i = 0; i < hiddenSize; i++) this.#sum[i]! += rows[row * hiddenSize + i]!;
    }
  }

  /** The mean, made 1 long. Shape `[hiddenSize]`. */
  get embedding(): Float32Array {
    let squares = 0;
    for (const value of this.#sum) squares += value * value;
    const length = Math.sqrt(squares) || 1;
    return Float32Array.from(this.#sum, (value) => value / length);
  }
}
