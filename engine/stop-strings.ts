/** A set of stop strings as an Aho-Corasick automaton over UTF-16 code units. */
interface State {
  readonly next: Map<number, State>;
  /** Longest proper suffix of this state's text that is a state too; null at the root. */
  fallback: State | null;
  /** This state's text is the first `depth` units of `source`. */
  readonly depth: number;
  readonly source: string;
  /** Length of the longest stop string that ends here; 0 for none. */
  matchLength: number;
}

/**
 * Ends a text before the stop string that is complete first (of several that are complete at the same
 * place, before the longest), however the text is split. Text that may be the start of a stop string
 * is held back, all other text passes at once.
 */
export class StopStrings {
  readonly #isIncluded: boolean;
  readonly #root: State;
  #state: State;
  #stopped = false;

  /**
   * Empty strings are ignored.
   * @param isIncluded the text ends behind the stop string instead
   */
  constructor(stop: readonly string[], isIncluded = false) {
    this.#isIncluded = isIncluded;
    this.#root = buildAutomaton(stop);
    this.#state = this.#root;
  }

  /** Text that is certainly part of the answer. After `stopped` everything is swallowed. */
  push(text: string): { text: string; stopped: boolean } {
    if (this.#stopped) return { text: "", stopped: true };
    const heldBefore = this.#state;
    for (let i = 0; i < text.length; i++) {
      this.#state = step(this.#state, text.charCodeAt(i));
      const { matchLength } = this.#state;
      if (matchLength === 0) continue;
      this.#stopped = true;
      this.#state = this.#root;
      const end = this.#isIncluded ? i + 1 : i + 1 - matchLength;
      return { text: leading(heldBefore, text, end), stopped: true };
    }
    return { text: leading(heldBefore, text, text.length - this.#state.depth), stopped: false };
  }

  /** The text that was held back, at the end of the sequence. */
  flush(): string {
    const held = this.#state.source.slice(0, this.#state.depth);
    this.#state = this.#root;
    return held;
  }
}

/** The held text of `state` and then `text`, up to `end` in `text`; a negative `end` cuts held text. */
function leading(state: State, text: string, end: number): string {
  const held = state.source.slice(0, Math.max(0, state.depth + Math.min(0, end)));
  return end > 0 ? held + text.slice(0, end) : held;
}

function step(state: State, unit: number): State {
  let from = state;
  for (;;) {
    const next = from.next.get(unit);
    if (next !== undefined) return next;
    if (from.fallback === null) return from;
    from = from.fallback;
  }
}

function buildAutomaton(stop: readonly string[]): State {
  const root: State = { next: new Map(), fallback: null, depth: 0, source: "", matchLength: 0 };
  for (const source of stop) {
    let state = root;
    for (let i = 0; i < source.length; i++) {
      let next = state.next.get(source.charCodeAt(i));
      if (next === undefined) {
        next = { next: new Map(), fallback: root, depth: i + 1, source, matchLength: 0 };
        state.next.set(source.charCodeAt(i), next);
      }
      state = next;
    }
    state.matchLength = state.depth;
  }
  // Breadth first: a fallback is shorter, so it is complete before it is needed.
  const queue: State[] = [root];
  for (const state of queue) {
    for (const [unit, child] of state.next) {
      if (state.fallback !== null) child.fallback = step(state.fallback, unit);
      if (child.matchLength === 0) child.matchLength = child.fallback?.matchLength ?? 0;
      queue.push(child);
    }
  }
  return root;
}
