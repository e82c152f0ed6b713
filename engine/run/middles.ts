import { denseExpert } from "../contract/experts.ts";
import type { Stage } from "../device/device.ts";

export interface ModelStages {
  readonly trunk: Stage;
  /** The layers of the unpruned model between trunk and head, in one stage or several. */
  readonly middle: readonly Stage[];
  readonly head: Stage;
}

/** What an expert is: stages one after the other. */
export interface Middle {
  readonly name: string;
  /** At least one. */
  readonly stages: readonly Stage[];
  /** Trunk, middle and head. */
  readonly path: readonly Stage[];
}

/** The stages that sequences run on: trunk and head for all, and between the two a middle for each expert. */
export class Middles {
  readonly trunk: Stage;
  readonly head: Stage;
  /** The unpruned middle: no other one needs more KV memory. */
  readonly dense: Middle;
  readonly #middles = new Map<string, Middle>();

  constructor({ trunk, middle, head }: ModelStages) {
    this.trunk = trunk;
    this.head = head;
    this.dense = this.add(denseExpert, middle);
  }

  /** @throws Error when there is none of that name */
  get(name: string): Middle {
    const middle = this.#middles.get(name);
    if (middle === undefined) throw new Error(`There is no middle ${name}.`);
    return middle;
  }

  all(): Iterable<Middle> {
    return this.#middles.values();
  }

  /** @param name that no other has */
  add(name: string, stages: readonly Stage[]): Middle {
    if (this.#middles.has(name)) throw new Error(`There is a middle ${name} already.`);
    if (stages.length === 0) throw new Error(`Middle ${name} has no stage.`);
    const middle = { name, stages, path: [this.trunk, ...stages, this.head] };
    this.#middles.set(name, middle);
    return middle;
  }

  remove(name: string): void {
    this.#middles.delete(name);
  }

  async dispose(): Promise<void> {
    for (const { stages } of this.#middles.values()) {
      for (const stage of stages) await stage.dispose();
    }
    await this.trunk.dispose();
    await this.head.dispose();
  }
}
