import type { Device, ForwardPass, HiddenStates } from "./device.ts";

/** What the stages of one decode step share, and what is given up when it is over. */
export class DecodeStep {
  readonly #device: Device;
  readonly #passes: ForwardPass[] = [];
  readonly #hidden: HiddenStates[] = [];

  constructor(device: Device) {
    this.#device = device;
  }

  /** One token each of sequences of these lengths: the same pass wherever they are the same. */
  passOf(pastLengths: readonly number[]): ForwardPass {
    const known = this.#passes.find((pass) => isSame(pass.pastLengths, pastLengths));
    if (known) return known;
    const pass = this.#device.createPass(pastLengths, 1);
    this.#passes.push(pass);
    return pass;
  }

  /** @returns the states, which live until the step is over */
  keep(hidden: HiddenStates): HiddenStates {
    this.#hidden.push(hidden);
    return hidden;
  }

  end(): void {
    for (const hidden of this.#hidden) hidden.dispose();
  }
}

function isSame(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((value, i) => value === b[i]);
}
