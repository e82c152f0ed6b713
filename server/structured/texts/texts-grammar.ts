import type { CodePoints, GrammarNode } from "../../../engine/grammar/grammar.ts";
import { GrammarTextError } from "../grammar-text-error.ts";
import { choice, nothing, type RuleSet, sequence } from "../nodes.ts";
import { dead, type TextAutomaton } from "./text-automaton.ts";

export interface TextsOptions {
  /** Each text is in the sets of all of these. */
  readonly automata: readonly TextAutomaton[];
  /** Sets that a text may be in or not. */
  readonly observed?: readonly TextAutomaton[];
  /** One character of a set. */
  readonly write: (set: CodePoints) => GrammarNode;
  /**
   * What follows a text.
   * @param isIn - for each of the observed sets
   */
  readonly ending: (isIn: readonly boolean[]) => GrammarNode;
  readonly rules: RuleSet;
  /** Counts what it costs. */
  readonly spend: (work: number) => void;
}

interface State {
  readonly states: readonly number[];
  readonly edges: { readonly set: CodePoints; readonly target: number }[];
  readonly sources: number[];
}

const maxStates = 20_000;

/**
 * The texts that are in several sets at once.
 * @throws GrammarTextError when that takes too many states
 */
export function textsGrammar(options: TextsOptions): GrammarNode {
  const { automata, observed = [], write, ending, rules } = options;
  const states = findStates([...automata, ...observed], automata.length, options.spend);
  const endings = states.map(({ states: own }) =>
    automata.every((automaton, i) => automaton.isEnd(own[i]!))
      ? ending(
          observed.map((automaton, i) => {
            const state = own[automata.length + i]!;
            return state !== dead && automaton.isEnd(state);
          }),
        )
      : nothing,
  );
  const isAlive = new Uint8Array(states.length);
  const work = [...states.keys()].filter((i) => endings[i] !== nothing);
  for (const i of work) isAlive[i] = 1;
  for (let i = work.pop(); i !== undefined; i = work.pop()) {
    for (const source of states[i]!.sources) {
      if (isAlive[source]) continue;
      isAlive[source] = 1;
      work.push(source);
    }
  }
  if (!isAlive[0]) return nothing;
  /** Of sets, which are few. */
  const written = new Map<string, GrammarNode>();
  const writeOnce = (set: CodePoints): GrammarNode => {
    const key = set.join(";");
    let node = written.get(key);
    if (node === undefined) written.set(key, (node = rules.add(write(set))));
    return node;
  };
  const reserved = states.map((_, i) => (isAlive[i] ? rules.reserve() : null));
  for (const [i, { edges }] of states.entries()) {
    reserved[i]?.define(
      choice([
        ...edges.flatMap(({ set, target }) => {
          const next = reserved[target];
          return next ? [sequence(writeOnce(set), next.rule)] : [];
        }),
        endings[i]!,
      ]),
    );
  }
  return reserved[0]!.rule;
}

function findStates(
  automata: readonly TextAutomaton[],
  numNeeded: number,
  spend: TextsOptions["spend"],
): State[] {
  const found: State[] = [];
  const numbers = new Map<string, number>();
  const numberOf = (states: readonly number[]): number => {
    const key = states.join();
    let number = numbers.get(key);
    if (number === undefined) {
      if (found.length === maxStates) {
        throw new GrammarTextError(`its constraints need more than ${maxStates} states together`);
      }
      number = found.push({ states, edges: [], sources: [] }) - 1;
      numbers.set(key, number);
    }
    return number;
  };
  numberOf(automata.map(({ start }) => start));
  for (let number = 0; number < found.length; number++) {
    const { states, edges } = found[number]!;
    /** By target. */
    const sets = new Map<number, [number, number][]>();
    const borders = bordersOf(automata, states);
    spend(borders.length);
    for (const [i, first] of borders.entries()) {
      const last = (borders[i + 1] ?? 0x110000) - 1;
      if (first === 0xd800) continue;
      const next = automata.map((automaton, j) =>
        states[j] === dead ? dead : automaton.step(states[j]!, first),
      );
      if (next.some((state, j) => state === dead && j < numNeeded)) continue;
      const target = numberOf(next);
      const set = sets.get(target);
      const before = set?.at(-1);
      if (set === undefined) sets.set(target, [[first, last]]);
      else if (before![1] === first - 1) before![1] = last;
      else set.push([first, last]);
    }
    for (const [target, set] of sets) {
      edges.push({ set, target });
      found[target]!.sources.push(number);
    }
  }
  return found;
}

/** Ascending, from 0 on; surrogates, which are no characters, lie between two of them. */
function bordersOf(automata: readonly TextAutomaton[], states: readonly number[]): number[] {
  const borders = new Set([0, 0xd800, 0xe000]);
  for (const [i, automaton] of automata.entries()) {
    const state = states[i]!;
    if (state !== dead) for (const border of automaton.borders(state)) borders.add(border);
  }
  borders.delete(0x110000);
  return [...borders]
    .filter((border) => border <= 0xd800 || border >= 0xe000)
    .sort((a, b) => a - b);
}
