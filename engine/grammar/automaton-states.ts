import { GrammarError } from "../contract/errors.ts";
import type { CodePoints, Grammar, GrammarNode } from "./grammar.ts";
import { Lists } from "./lists.ts";
import { type ByteRange, utf8Ranges } from "./utf8-ranges.ts";

/** States and transitions as they come: what `buildAutomaton` puts in order. */
export interface AutomatonStates {
  readonly numStates: number;
  /** First byte, last byte, target. */
  readonly edges: Lists;
  /** Target. */
  readonly jumps: Lists;
  /** Rule, target. */
  readonly calls: Lists;
  /** Start and end of each rule, the root first. */
  readonly rules: readonly (readonly [start: number, end: number])[];
}

/**
 * @param maxSize - states and transitions together
 * @throws GrammarError when there are more, or a rule is mentioned that there is not
 */
export function statesOf(grammar: Grammar, maxSize: number): AutomatonStates {
  const builder = new StatesBuilder(grammar.rules, maxSize);
  builder.build(grammar.root);
  return builder;
}

class StatesBuilder implements AutomatonStates {
  readonly edges = new Lists(3);
  readonly jumps = new Lists(1);
  readonly calls = new Lists(2);
  readonly rules: (readonly [start: number, end: number])[] = [];
  readonly #definitions: Grammar["rules"];
  readonly #maxSize: number;
  readonly #ruleNumbers = new Map<string, number>();
  /** Nodes of rules whose states are still to be made. */
  readonly #open: (readonly [rule: number, node: GrammarNode])[] = [];
  /** Byte sequences of the sets that were come to: many rules mention the same set. */
  readonly #sequences = new Map<CodePoints, readonly ByteRange[][]>();
  numStates = 0;
  #numNodes = 0;

  constructor(definitions: Grammar["rules"], maxSize: number) {
    this.#definitions = definitions;
    this.#maxSize = maxSize;
  }

  build(root: GrammarNode): void {
    this.#addRule(root);
    for (let next = this.#open.pop(); next !== undefined; next = this.#open.pop()) {
      const [rule, node] = next;
      this.#connect(node, ...this.rules[rule]!);
    }
  }

  #addRule(node: GrammarNode): number {
    const rule = this.rules.push([this.#state(), this.#state()]) - 1;
    this.#open.push([rule, node]);
    return rule;
  }

  #state(): number {
    this.#checkSize();
    return this.numStates++;
  }

  #checkSize(): void {
    const size =
      this.#numNodes + this.numStates + this.edges.length + this.jumps.length + this.calls.length;
    if (size > this.#maxSize) {
      const limit = `${this.#maxSize} states and transitions`;
      throw new GrammarError(`The grammar is too large: it needs more than ${limit}.`);
    }
  }

  /** Makes the texts of a node lead from one state to another. */
  #connect(node: GrammarNode, from: number, to: number): void {
    this.#numNodes++;
    this.#checkSize();
    switch (node.kind) {
      case "text":
        return this.#text(Buffer.from(node.text), from, to);
      case "characters":
        return this.#characters(node.codePoints, from, to);
      case "sequence":
        return this.#sequence(node.parts, from, to);
      case "choice":
        return this.#choice(node.alternatives, from, to);
      case "repeat":
        return this.#repeat(node.item, node.min, node.max, from, to);
      case "rule":
        return this.calls.add(from, this.#ruleNamed(node.name), to);
      case "triggered":
        return this.#triggered(node, from, to);
    }
  }

  #ruleNamed(name: string): number {
    const known = this.#ruleNumbers.get(name);
    if (known !== undefined) return known;
    const node = Object.hasOwn(this.#definitions, name) ? this.#definitions[name] : undefined;
    if (node === undefined) throw new GrammarError(`The grammar has no rule ${name}.`);
    const rule = this.#addRule(node);
    this.#ruleNumbers.set(name, rule);
    return rule;
  }

  #text(bytes: Uint8Array, from: number, to: number): void {
    if (bytes.length === 0) this.jumps.add(from, to);
    this.#path(
      Array.from(bytes, (byte) => [byte, byte] as const),
      from,
      to,
    );
  }

  #characters(codePoints: CodePoints, from: number, to: number): void {
    let sequences = this.#sequences.get(codePoints);
    if (sequences === undefined) {
      sequences = codePoints.flatMap(([first, last]) => utf8Ranges(first, last));
      this.#sequences.set(codePoints, sequences);
    }
    for (const ranges of sequences) this.#path(ranges, from, to);
  }

  #path(ranges: readonly ByteRange[], from: number, to: number): void {
    let state = from;
    for (const [i, [first, last]] of ranges.entries()) {
      const next = i === ranges.length - 1 ? to : this.#state();
      this.edges.add(state, first, last, next);
      state = next;
    }
  }

  #sequence(parts: readonly GrammarNode[], from: number, to: number): void {
    let state = from;
    for (const [i, part] of parts.entries()) {
      const next = i === parts.length - 1 ? to : this.#state();
      this.#connect(part, state, next);
      state = next;
    }
    if (parts.length === 0) this.jumps.add(from, to);
  }

  /** Texts that begin alike share the states of what they have in common. */
  #choice(alternatives: readonly GrammarNode[], from: number, to: number): void {
    /** By a state and a byte. */
    const shared = new Map<number, number>();
    const ends = new Set<number>();
    for (const alternative of alternatives) {
      if (alternative.kind !== "text" || alternative.text === "") {
        this.#connect(alternative, from, to);
        continue;
      }
      const bytes = Buffer.from(alternative.text);
      let state = from;
      for (const byte of bytes.subarray(0, -1)) {
        const key = state * 256 + byte;
        let next = shared.get(key);
        if (next === undefined) {
          next = this.#state();
          this.edges.add(state, byte, byte, next);
          shared.set(key, next);
        }
        state = next;
      }
      const last = bytes.at(-1)!;
      if (ends.has(state * 256 + last)) continue;
      ends.add(state * 256 + last);
      this.edges.add(state, last, last, to);
    }
  }

  #repeat(item: GrammarNode, min: number, max: number, from: number, to: number): void {
    let state = from;
    const step = () => {
      const next = this.#state();
      this.#connect(item, state, next);
      state = next;
    };
    for (let i = 0; i < min; i++) step();
    if (max === Infinity) {
      // A state of its own, which only this loop comes back to.
      const loop = this.#state();
      this.jumps.add(state, loop);
      this.#connect(item, loop, loop);
      state = loop;
    } else {
      for (let i = min; i < max; i++) {
        this.jumps.add(state, to);
        step();
      }
    }
    this.jumps.add(state, to);
  }

  /** Knuth, Morris and Pratt: state `i` has seen the first `i` bytes of the trigger. */
  #triggered(
    { trigger, content, isOnce }: Extract<GrammarNode, { kind: "triggered" }>,
    from: number,
    to: number,
  ): void {
    const bytes = Buffer.from(trigger);
    const states = Array.from(bytes, () => this.#state());
    const found = this.#state();
    this.jumps.add(from, states[0]!);
    /** What has been seen by what was seen before and a byte. */
    const rows: number[][] = [];
    /** Longest end of what was seen, but not all of it, that the trigger begins with. */
    let fallback = 0;
    for (const [seen, byte] of bytes.entries()) {
      const row = seen === 0 ? new Array<number>(256).fill(0) : [...rows[fallback]!];
      if (seen > 0) fallback = row[byte]!;
      row[byte] = seen + 1;
      rows.push(row);
      this.jumps.add(states[seen]!, to);
      for (let first = 0, next = 1; next <= 256; next++) {
        if (row[next] === row[first]) continue;
        this.edges.add(states[seen]!, first, next - 1, states[row[first]!] ?? found);
        first = next;
      }
    }
    this.#connect(content, found, isOnce ? to : states[0]!);
  }
}
