import { compileGrammar } from "./compile-grammar.ts";

/** A thread of the background has started. */
export function ready(): void {
  // There is nothing else to do.
}

export { compileGrammar };
