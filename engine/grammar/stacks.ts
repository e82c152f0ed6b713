import type { WorkLimit } from "./work-limit.ts";

/** Where to go on when a rule has ended: any of the returns. What calls a rule at one place of the text is one stack. */
export interface Stack {
  /** No other stack has it. */
  readonly id: number;
  /** The rule may be the root: the text ends with it. */
  readonly isBottom: boolean;
  /** States to go on from, and what is below each. */
  readonly states: readonly number[];
  readonly belows: readonly Stack[];
}

/** The stack of the root: nothing is below it. */
export const bottom: Stack = { id: 0, isBottom: true, states: [], belows: [] };

/** What is to become one stack: returns of its own, and those of other stacks. */
export interface StackParts {
  readonly states: number[];
  readonly belows: Stack[];
  readonly stacks: Stack[];
}

/** All stacks of a grammar, equal ones only once. */
export class Stacks {
  readonly #known = new Map<string, Stack>();
  readonly #work: WorkLimit;
  readonly #nextId: () => number;
  #sizeBytes = 0;

  /** @param nextId - gives each number above 0 once */
  constructor(work: WorkLimit, nextId: () => number) {
    this.#work = work;
    this.#nextId = nextId;
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** @throws GrammarError when it is too much work */
  unite({ states, belows, stacks }: StackParts): Stack {
    if (states.length === 0 && stacks.length === 1) return stacks[0]!;
    const returns = states.map((state, i) => [state, belows[i]!] as const);
    for (const stack of stacks) {
      this.#work.spend(stack.states.length);
      for (const [i, state] of stack.states.entries()) returns.push([state, stack.belows[i]!]);
    }
    this.#work.spend(returns.length);
    returns.sort(([a, below], [b, other]) => a - b || below.id - other.id);
    const unique = returns.filter(
      ([state, below], i) => state !== returns[i - 1]?.[0] || below !== returns[i - 1]?.[1],
    );
    const isBottom = stacks.some((stack) => stack.isBottom);
    const key =
      unique.map(([state, below]) => `${state}:${below.id}`).join() + (isBottom ? "!" : "");
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const stack = {
      id: this.#nextId(),
      isBottom,
      states: unique.map(([state]) => state),
      belows: unique.map(([, below]) => below),
    };
    this.#known.set(key, stack);
    this.#sizeBytes += 250 + key.length + 16 * unique.length;
    return stack;
  }

  /** Forgets all stacks. Those in use go on: they know what is below them. */
  clear(): void {
    this.#known.clear();
    this.#sizeBytes = 0;
  }
}
