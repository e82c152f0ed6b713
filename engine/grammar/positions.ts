import { GrammarError } from "../errors.ts";
import type { Rule, State } from "./automaton.ts";

/** Where to go on when a rule has ended; null for the root. */
interface Frame {
  readonly id: number;
  readonly state: State;
  readonly below: Frame | null;
}

interface Item {
  readonly state: State;
  readonly stack: Frame | null;
}

/** All places where the grammar may be after some bytes. */
export interface Position {
  /** The text may end here. */
  readonly isEnd: boolean;
  /** By byte; null where the byte is not allowed, undefined where that is not known yet. */
  readonly next: (Position | null | undefined)[];
  readonly items: readonly Item[];
  /** Of the tokens that may come next; null while nobody has asked. */
  mask: Int32Array | null;
}

/** When there are more, they are made anew as they are needed. */
const maxPositions = 4096;

/** Places of new positions for one mask: more would hold up all other answers. */
const maxWork = 1_000_000;

/** The positions of a grammar, each made when it is first come to, so that a byte is one look-up from then on. */
export class Positions {
  readonly start: Position;
  readonly #frames = new Map<string, Frame>();
  readonly #positions = new Map<string, Position>();
  #numFrames = 0;
  #work = 0;

  constructor(root: Rule) {
    this.start = this.#find([{ state: root.start, stack: null }]);
  }

  /** From now on `step` may find so many new positions again. */
  allowWork(): void {
    this.#work = 0;
  }

  /**
   * Null when the byte is not allowed.
   * @throws GrammarError when what the text may be is so open that too many places must be kept in mind
   */
  step(position: Position, byte: number): Position | null {
    const known = position.next[byte];
    if (known !== undefined) return known;
    const items: Item[] = [];
    for (const { state, stack } of position.items) {
      for (const [first, last, target] of state.bytes) {
        if (first <= byte && byte <= last) items.push({ state: target, stack });
      }
    }
    const next = items.length === 0 ? null : this.#find(items);
    position.next[byte] = next;
    return next;
  }

  #find(items: readonly Item[]): Position {
    const { waiting, isEnd } = this.#closure(items);
    // Making a position costs something, however few places it has.
    this.#work += 10 + waiting.size;
    if (this.#work > maxWork) {
      throw new GrammarError("The grammar leaves too many ways open at once.");
    }
    const key = [...waiting.keys()].sort().join() + (isEnd ? "!" : "");
    const known = this.#positions.get(key);
    if (known !== undefined) return known;
    if (this.#positions.size >= maxPositions) this.#forget();
    const position = {
      isEnd,
      next: new Array<undefined>(256).fill(undefined),
      items: [...waiting.values()],
      mask: null,
    };
    this.#positions.set(key, position);
    return position;
  }

  /** Everything that can be come to without a byte: the items that wait for one, and whether the text may end. */
  #closure(items: readonly Item[]): { waiting: Map<string, Item>; isEnd: boolean } {
    const seen = new Map<string, Item>();
    const waiting = new Map<string, Item>();
    let isEnd = false;
    const add = (state: State, stack: Frame | null) => {
      const key = `${state.id}:${stack?.id ?? 0}`;
      if (seen.has(key)) return;
      const item = { state, stack };
      seen.set(key, item);
      if (state.bytes.length > 0) waiting.set(key, item);
    };
    for (const { state, stack } of items) add(state, stack);
    for (const { state, stack } of seen.values()) {
      for (const next of state.jumps) add(next, stack);
      for (const [rule, next] of state.calls) add(rule.start, this.#push(next, stack));
      if (!state.isEnd) continue;
      if (stack === null) isEnd = true;
      else add(stack.state, stack.below);
    }
    return { waiting, isEnd };
  }

  #push(state: State, below: Frame | null): Frame | null {
    // Nothing is left to do in the rule that calls: its caller can be gone back to at once.
    if (state.isEnd) return below;
    const key = `${state.id}:${below?.id ?? 0}`;
    let frame = this.#frames.get(key);
    if (frame === undefined) {
      frame = { id: ++this.#numFrames, state, below };
      this.#frames.set(key, frame);
    }
    return frame;
  }

  /** Positions that are still in use go on: they know where they are. */
  #forget(): void {
    this.#positions.clear();
    this.#frames.clear();
  }
}
