import { rotaryFeeds } from "../model/graph/feed-names.ts";
import type { ModelConfig } from "../model/weights/config.ts";
import { RotaryTable } from "./rotary-table.ts";
import type { Feeds } from "./tensor.ts";

/** What attention is fed by. */
export type AttendingModel = Pick<
  ModelConfig,
  "rotaryTables" | "layers" | "numHeads" | "numKvHeads"
>;

/** What differs between a model's layers in how they see positions. */
export class AttentionKinds {
  /** Of layers that do not see all positions, each once. */
  readonly windows: readonly number[];
  /** Queries, keys and values of a token in an unpruned layer. */
  readonly mostHeads: number;
  readonly #rotary: readonly RotaryTable[];

  constructor({ rotaryTables, layers, numHeads, numKvHeads }: AttendingModel) {
    const windows = layers.flatMap(({ window }) => (window === null ? [] : [window]));
    this.windows = [...new Set(windows)];
    this.mostHeads = numHeads + 2 * numKvHeads;
    this.#rotary = rotaryTables.map((angles) => new RotaryTable(angles));
  }

  /** Cosines and sines of at least so many positions. */
  rotaryFeeds(numPositions: number): Feeds {
    const feeds = this.#rotary.map((table, index) => {
      const { cos, sin } = table.feeds(numPositions);
      const names = rotaryFeeds(index);
      return { [names.cos]: cos!, [names.sin]: sin! };
    });
    return Object.assign({}, ...feeds) as Feeds;
  }
}
