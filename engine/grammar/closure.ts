import { type Automaton, ending } from "../contract/automaton.ts";
import type { Stack, StackParts, Stacks } from "./stacks.ts";
import type { WorkLimit } from "./work-limit.ts";

/** Where a text may be, each state with its one stack. */
export interface Places {
  readonly states: readonly number[];
  readonly stacks: readonly Stack[];
}

/** Everything that can be come to without a byte. */
export interface Closure {
  /** The states with edges. */
  readonly waiting: ReadonlyMap<number, Stack>;
  /** The text may end. */
  readonly isEnd: boolean;
}

/** Finds closures of an automaton: each state once per stack, each rule once, however many ways lead there. */
export class ClosureFinder {
  readonly #automaton: Automaton;
  readonly #stacks: Stacks;
  readonly #work: WorkLimit;

  constructor(automaton: Automaton, stacks: Stacks, work: WorkLimit) {
    this.#automaton = automaton;
    this.#stacks = stacks;
    this.#work = work;
  }

  /** @throws GrammarError when it is too much work */
  find(places: Places): Closure {
    const { edgeStarts, callStarts, ruleStarts, ruleStates } = this.#automaton;
    const hasEdges = (state: number) => edgeStarts[state]! < edgeStarts[state + 1]!;
    const hasCalls = (state: number) => callStarts[state]! < callStarts[state + 1]!;
    const { reached, isEnd } = this.#withinRules(places);
    const waiting = new Map<number, StackParts>();
    const callers = new Map<number, StackParts>();
    for (const [state, parts] of reached) {
      if (hasCalls(state)) this.#call(state, this.#stacks.unite(parts), callers);
      if (hasEdges(state)) waiting.set(state, parts);
    }
    for (const rule of this.#calledRules(callers.keys())) {
      const stack = this.#stacks.unite(callers.get(rule)!);
      for (let i = ruleStarts[rule]!; i < ruleStarts[rule + 1]!; i++) {
        const state = ruleStates[i]!;
        this.#work.spend(1);
        if (hasEdges(state)) partsOf(waiting, state).stacks.push(stack);
        if (hasCalls(state)) this.#call(state, stack, callers);
      }
    }
    const united = [...waiting].map(
      ([state, parts]) => [state, this.#stacks.unite(parts)] as const,
    );
    return { waiting: new Map(united), isEnd };
  }

  /** By jumps, and by returns from rules that had been called before. */
  #withinRules({ states, stacks }: Places): { reached: Map<number, StackParts>; isEnd: boolean } {
    const { jumpStarts, jumpTargets, endings } = this.#automaton;
    const reached = new Map<number, StackParts>();
    /** Stacks of the states that are reached with more than one. */
    const several = new Map<number, Set<Stack>>();
    const work: (readonly [state: number, stack: Stack])[] = [];
    const add = (state: number, stack: Stack) => {
      this.#work.spend(1);
      const { stacks: known } = partsOf(reached, state);
      if (known.at(-1) === stack) return;
      if (known.length > 0) {
        let all = several.get(state);
        if (all === undefined) several.set(state, (all = new Set(known)));
        if (all.has(stack)) return;
        all.add(stack);
      }
      known.push(stack);
      work.push([state, stack]);
    };
    let isEnd = false;
    for (const [i, state] of states.entries()) add(state, stacks[i]!);
    for (let next = work.pop(); next !== undefined; next = work.pop()) {
      const [state, stack] = next;
      for (let i = jumpStarts[state]!; i < jumpStarts[state + 1]!; i++) add(jumpTargets[i]!, stack);
      if (endings[state] !== ending.end) continue;
      isEnd ||= stack.isBottom;
      for (const [i, target] of stack.states.entries()) add(target, stack.belows[i]!);
    }
    return { reached, isEnd };
  }

  /** Callers of the rules that a state calls. Who has nothing to do after the rule is left out for his own callers. */
  #call(state: number, stack: Stack, callers: Map<number, StackParts>): void {
    const { callStarts, callRules, callTargets, endings } = this.#automaton;
    for (let i = callStarts[state]!; i < callStarts[state + 1]!; i++) {
      this.#work.spend(1);
      const target = callTargets[i]!;
      const parts = partsOf(callers, callRules[i]!);
      if (endings[target] !== ending.none) parts.stacks.push(stack);
      else {
        parts.states.push(target);
        parts.belows.push(stack);
      }
    }
  }

  /** With those that they begin with, and in an order in which a rule comes after all that call it. */
  #calledRules(called: Iterable<number>): Uint32Array {
    const { callStarts, callRules, ruleStarts, ruleStates } = this.#automaton;
    const rules = new Set(called);
    for (const rule of rules) {
      for (let i = ruleStarts[rule]!; i < ruleStarts[rule + 1]!; i++) {
        const state = ruleStates[i]!;
        this.#work.spend(1);
        for (let call = callStarts[state]!; call < callStarts[state + 1]!; call++) {
          this.#work.spend(1);
          rules.add(callRules[call]!);
        }
      }
    }
    return Uint32Array.from(rules).sort();
  }
}

function partsOf(map: Map<number, StackParts>, key: number): StackParts {
  let parts = map.get(key);
  if (parts === undefined) map.set(key, (parts = { states: [], belows: [], stacks: [] }));
  return parts;
}
