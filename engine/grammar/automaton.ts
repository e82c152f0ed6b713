import { GrammarError } from "../errors.ts";
import type { Grammar, GrammarNode } from "./grammar.ts";
import { utf8Ranges } from "./utf8-ranges.ts";

/** A place in a rule, and how it goes on from there. */
export interface State {
  readonly id: number;
  /** By one byte of a range. */
  readonly bytes: (readonly [first: number, last: number, target: State])[];
  /** Without a byte. */
  readonly jumps: State[];
  /** By the text of a rule. */
  readonly calls: (readonly [rule: Rule, target: State])[];
  /** The rule ends here. */
  isEnd: boolean;
}

export interface Rule {
  readonly start: State;
  readonly end: State;
}

/** Larger ones take too much memory. */
const maxStates = 200_000;

/**
 * The automaton of a grammar, over bytes, with a call for each rule.
 * @returns the rule of the root
 * @throws GrammarError when the grammar is too large, refers to no rule, or has a rule that begins with itself
 */
export function buildAutomaton(grammar: Grammar): Rule {
  const builder = new Builder(grammar.rules);
  const root = builder.ruleOf(grammar.root);
  builder.finish();
  return root;
}

class Builder {
  readonly #definitions: Grammar["rules"];
  readonly #rules = new Map<string, Rule>();
  /** Rules whose states are still to be made. */
  readonly #open: (readonly [rule: Rule, node: GrammarNode])[] = [];
  readonly #all: Rule[] = [];
  #numStates = 0;

  constructor(definitions: Grammar["rules"]) {
    this.#definitions = definitions;
  }

  ruleOf(node: GrammarNode): Rule {
    const rule = { start: this.#state(), end: this.#state() };
    rule.end.isEnd = true;
    this.#open.push([rule, node]);
    this.#all.push(rule);
    return rule;
  }

  finish(): void {
    for (let next = this.#open.pop(); next !== undefined; next = this.#open.pop()) {
      const [{ start, end }, node] = next;
      this.#connect(node, start, end);
    }
    refuseLeftRecursion(this.#all);
  }

  #state(): State {
    if (++this.#numStates > maxStates) {
      throw new GrammarError(`The grammar is too large: it needs more than ${maxStates} states.`);
    }
    return { id: this.#numStates, bytes: [], jumps: [], calls: [], isEnd: false };
  }

  /** Makes the texts of a node lead from one state to another. */
  #connect(node: GrammarNode, from: State, to: State): void {
    switch (node.kind) {
      case "text":
        return this.#text(Buffer.from(node.text), from, to);
      case "characters":
        for (const [first, last] of node.codePoints) this.#characters(first, last, from, to);
        return;
      case "sequence":
        return this.#sequence(node.parts, from, to);
      case "choice":
        for (const alternative of node.alternatives) this.#connect(alternative, from, to);
        return;
      case "repeat":
        return this.#repeat(node.item, node.min, node.max, from, to);
      case "rule":
        from.calls.push([this.#ruleNamed(node.name), to]);
        return;
      case "triggered":
        return this.#triggered(node, from, to);
    }
  }

  #ruleNamed(name: string): Rule {
    const known = this.#rules.get(name);
    if (known !== undefined) return known;
    const node = Object.hasOwn(this.#definitions, name) ? this.#definitions[name] : undefined;
    if (node === undefined) throw new GrammarError(`The grammar has no rule ${name}.`);
    const rule = this.ruleOf(node);
    this.#rules.set(name, rule);
    return rule;
  }

  #text(bytes: Uint8Array, from: State, to: State): void {
    if (bytes.length === 0) {
      from.jumps.push(to);
      return;
    }
    let state = from;
    for (const [i, byte] of bytes.entries()) {
      const next = i === bytes.length - 1 ? to : this.#state();
      state.bytes.push([byte, byte, next]);
      state = next;
    }
  }

  #characters(first: number, last: number, from: State, to: State): void {
    for (const ranges of utf8Ranges(first, last)) {
      let state = from;
      for (const [i, [low, high]] of ranges.entries()) {
        const next = i === ranges.length - 1 ? to : this.#state();
        state.bytes.push([low, high, next]);
        state = next;
      }
    }
  }

  #sequence(parts: readonly GrammarNode[], from: State, to: State): void {
    let state = from;
    for (const [i, part] of parts.entries()) {
      const next = i === parts.length - 1 ? to : this.#state();
      this.#connect(part, state, next);
      state = next;
    }
    if (parts.length === 0) from.jumps.push(to);
  }

  #repeat(item: GrammarNode, min: number, max: number, from: State, to: State): void {
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
      state.jumps.push(loop);
      this.#connect(item, loop, loop);
      state = loop;
    } else {
      for (let i = min; i < max; i++) {
        state.jumps.push(to);
        step();
      }
    }
    state.jumps.push(to);
  }

  /** Knuth, Morris and Pratt: state `i` has seen the first `i` bytes of the trigger. */
  #triggered(
    { trigger, content, isOnce }: Extract<GrammarNode, { kind: "triggered" }>,
    from: State,
    to: State,
  ): void {
    const bytes = Buffer.from(trigger);
    const states = Array.from(bytes, () => this.#state());
    const found = this.#state();
    from.jumps.push(states[0]!);
    for (const [seen, state] of states.entries()) {
      state.jumps.push(to);
      for (let byte = 0; byte < 256; byte++) {
        const text = Buffer.concat([bytes.subarray(0, seen), Buffer.of(byte)]);
        let length = Math.min(text.length, bytes.length);
        while (!text.subarray(text.length - length).equals(bytes.subarray(0, length))) length--;
        state.bytes.push([byte, byte, length === bytes.length ? found : states[length]!]);
      }
    }
    this.#connect(content, found, isOnce ? to : states[0]!);
  }
}

/** A rule that begins with itself could be entered without end before the first byte. */
function refuseLeftRecursion(rules: readonly Rule[]): void {
  const reached = statesBeforeBytes(rules);
  const begins = new Map<Rule, Iterator<Rule, undefined>>();
  const finished = new Set<Rule>();
  for (const first of rules) {
    const path = [first];
    while (path.length > 0) {
      const rule = path.at(-1)!;
      let called = begins.get(rule);
      if (called === undefined) begins.set(rule, (called = calledFrom(reached.get(rule)!)));
      const next = finished.has(rule) ? undefined : called.next().value;
      if (next === undefined) finished.add(path.pop()!);
      else if (!begins.has(next)) path.push(next);
      else if (!finished.has(next)) {
        throw new GrammarError("The grammar has a rule that begins with itself.");
      }
    }
  }
}

function* calledFrom(states: Iterable<State>): Generator<Rule, undefined> {
  for (const state of states) for (const [rule] of state.calls) yield rule;
}

/** For each rule, the states that can be come to from its start without a byte. */
function statesBeforeBytes(rules: readonly Rule[]): ReadonlyMap<Rule, ReadonlySet<State>> {
  const reached = new Map(rules.map((rule) => [rule, new Set<State>()]));
  /** Where to go on when a rule turns out to have the empty text. */
  const waiting = new Map(rules.map((rule) => [rule, [] as (readonly [Rule, State])[]]));
  const work = rules.map((rule) => [rule, rule.start] as readonly [Rule, State]);
  for (let next = work.pop(); next !== undefined; next = work.pop()) {
    const [rule, state] = next;
    const states = reached.get(rule)!;
    if (states.has(state)) continue;
    states.add(state);
    if (state === rule.end) for (const caller of waiting.get(rule)!.splice(0)) work.push(caller);
    for (const target of state.jumps) work.push([rule, target]);
    for (const [called, target] of state.calls) {
      if (reached.get(called)!.has(called.end)) work.push([rule, target]);
      else waiting.get(called)!.push([rule, target]);
    }
  }
  return reached;
}
