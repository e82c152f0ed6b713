/**
 * Counter-based random numbers: draw `n` is a function of seed and `n` only, so a sequence's draws do
 * not depend on what runs beside it.
 */
export class CounterRandom {
  readonly #keyA: number;
  readonly #keyB: number;
  #counter = 0;

  /** `seed`: unsigned 32-bit. */
  constructor(seed: number) {
    this.#keyA = mix(seed ^ 0x9e3779b9);
    this.#keyB = mix(this.#keyA ^ 0x85ebca6b);
  }

  /** Uniform in [0, 1), with 53 random bits. */
  next(): number {
    const high = this.#word() >>> 5;
    const low = this.#word() >>> 6;
    return (high * 2 ** 26 + low) / 2 ** 53;
  }

  #word(): number {
    return mix(mix(this.#counter++ + this.#keyA) ^ this.#keyB);
  }
}

/** A bijection of 32-bit integers that scatters neighbours (Wellons' "lowbias32"). */
function mix(value: number): number {
  let x = value;
  x = Math.imul(x ^ (x >>> 16), 0x7feb352d);
  x = Math.imul(x ^ (x >>> 15), 0x846ca68b);
  return (x ^ (x >>> 16)) >>> 0;
}
