import type { RotaryAngles } from "../model/weights/config.ts";
import type { Feeds } from "./tensor.ts";
import { tensor } from "./tensor.ts";

/**
 * Cosines and sines of the rotary embedding by position, computed as far as positions were asked for. Row 0 turns nothing,
 * and row `p + 1` is position `p`.
 */
export class RotaryTable {
  readonly #angles: RotaryAngles;
  /** `[1 + numPositions, frequencies]` */
  #cos = new Float32Array(0);
  #sin = new Float32Array(0);
  #numPositions = 0;
  #feeds: Feeds = {};

  constructor(angles: RotaryAngles) {
    this.#angles = angles;
  }

  /** Of `numPositions` or more. */
  feeds(numPositions: number): Feeds {
    if (numPositions > this.#numPositions) {
      this.#extendTo(Math.max(numPositions, 2 * this.#numPositions));
    }
    return this.#feeds;
  }

  #extendTo(numPositions: number): void {
    const { frequencies, magnitude } = this.#angles;
    const width = frequencies.length;
    const length = (1 + numPositions) * width;
    const [cos, sin] = [new Float32Array(length), new Float32Array(length)];
    cos.set(this.#cos);
    sin.set(this.#sin);
    cos.fill(1, 0, width);
    for (let i = Math.max(width, this.#cos.length); i < length; i++) {
      const angle = (Math.floor(i / width) - 1) * frequencies[i % width]!;
      cos[i] = magnitude * Math.cos(angle);
      sin[i] = magnitude * Math.sin(angle);
    }
    this.#cos = cos;
    this.#sin = sin;
    this.#numPositions = numPositions;
    const dims = [1 + numPositions, width];
    this.#feeds = { cos: tensor(cos, dims), sin: tensor(sin, dims) };
  }
}
