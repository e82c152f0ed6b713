import { LRUCache } from "lru-cache";
import type { TokenTable } from "../../model/text/token-table.ts";
import type { Automaton } from "../contract/automaton.ts";
import { Matcher } from "./matcher.ts";
import { Positions } from "./positions.ts";
import { TokenTrie } from "./token-trie.ts";

/** Bytes that all grammars may take together. */
const maxBytes = 64 * 2 ** 20;

/** The engine's grammars, with what it has learnt of each: the least recently used are forgotten. */
export class Grammars {
  readonly #table: TokenTable;
  readonly #trie: TokenTrie;
  readonly #known = new LRUCache<string, Positions>({
    maxSize: maxBytes,
    sizeCalculation: ({ sizeBytes }) => sizeBytes,
    dispose: (positions, _key, reason) => {
      if (reason !== "set") positions.forget();
    },
  });
  #numStacks = 0;

  /** @param vocabSize of the logits, at least that of the table */
  constructor(table: TokenTable, vocabSize: number) {
    this.#table = table;
    this.#trie = new TokenTrie(table, vocabSize);
  }

  get sizeBytes(): number {
    return this.#known.calculatedSize;
  }

  open(automaton: Automaton): Matcher {
    const positions = () => this.#known.get(automaton.key) ?? this.#add(automaton);
    return new Matcher({
      positions,
      onGrowth: () => this.#known.set(automaton.key, positions()),
      trie: this.#trie,
      table: this.#table,
    });
  }

  #add(automaton: Automaton): Positions {
    const positions = new Positions(automaton, () => ++this.#numStacks);
    this.#known.set(automaton.key, positions);
    return positions;
  }
}
