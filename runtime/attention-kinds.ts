import { rotaryFeeds } from "../model/graph/feed-names.ts";
import type { ModelConfig } from "../model/weights/config.ts";
import { RotaryTable } from "./rotary-table.ts";
import type { Feeds } from "./tensor.ts";

/** What differs between a model's layers in how they see positions. */
export class AttentionKinds {
  /** Of layers that do not see all positions, each once. */
  readonly windows: readonly number[];
  readonly #rotary: readonly RotaryTable[];

  constructor({ rotaryTables, layers }: Pick<ModelConfig, "rotaryTables" | "layers">) {
    const windows = layers.flatMap(({ window }) => (window === null ? [] : [window]));
    this.windows = [...new Set(windows)];
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
