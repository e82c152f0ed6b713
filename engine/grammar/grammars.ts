import { LRUCache } from "lru-cache";
import type { TokenTable } from "../../model/token-table.ts";
import { buildAutomaton } from "./automaton.ts";
import type { Grammar } from "./grammar.ts";
import { Matcher } from "./matcher.ts";
import { Positions } from "./positions.ts";
import { TokenTrie } from "./token-trie.ts";

/** What they have learnt takes up to some megabytes each. */
const maxGrammars = 32;

/** The engine's grammars, with what it has learnt of each. */
export class Grammars {
  readonly #table: TokenTable;
  readonly #trie: TokenTrie;
  readonly #known = new LRUCache<string, Positions>({ max: maxGrammars });

  /** @param vocabSize of the logits, at least that of the table */
  constructor(table: TokenTable, vocabSize: number) {
    this.#table = table;
    this.#trie = new TokenTrie(table, vocabSize);
  }

  /** @throws GrammarError */
  open(grammar: Grammar): Matcher {
    let positions = this.#known.get(grammar.key);
    if (positions === undefined) {
      positions = new Positions(buildAutomaton(grammar));
      this.#known.set(grammar.key, positions);
    }
    return new Matcher(positions, this.#trie, this.#table);
  }
}
