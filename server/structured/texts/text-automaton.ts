/** What can still become of a text, character by character. States are numbers. */
export interface TextAutomaton {
  readonly start: number;
  /** The state behind a character; `dead` where no text of the set begins so. */
  step(state: number, codePoint: number): number;
  /** The text may end here. */
  isEnd(state: number): boolean;
  /** Code points from which on a step may lead elsewhere than for the code point before; in any order. */
  borders(state: number): Iterable<number>;
}

/** The state from which no text of the set can be come to. */
export const dead = -1;

export function accepts(automaton: TextAutomaton, text: string): boolean {
  let state = automaton.start;
  for (const character of text) {
    state = automaton.step(state, character.codePointAt(0)!);
    if (state === dead) return false;
  }
  return automaton.isEnd(state);
}

/** Texts of a number of characters. */
export class LengthAutomaton implements TextAutomaton {
  readonly start = 0;
  readonly #min: number;
  readonly #max: number;

  /** @param max - Infinity for any number */
  constructor(min: number, max: number) {
    this.#min = min;
    this.#max = max;
  }

  step(state: number): number {
    if (state >= this.#max) return dead;
    return this.#max === Infinity ? Math.min(state + 1, this.#min) : state + 1;
  }

  isEnd(state: number): boolean {
    return state >= this.#min;
  }

  borders(): readonly number[] {
    return [];
  }
}

interface NameNode {
  readonly next: Map<number, number>;
  isName: boolean;
}

/** Texts that are none of some. */
export class OtherTextsAutomaton implements TextAutomaton {
  readonly start = 0;
  readonly #nodes: NameNode[] = [{ next: new Map(), isName: false }];

  constructor(names: Iterable<string>) {
    for (const name of names) {
      let node = this.#nodes[0]!;
      for (const character of name) {
        const codePoint = character.codePointAt(0)!;
        let next = node.next.get(codePoint);
        if (next === undefined) {
          next = this.#nodes.push({ next: new Map(), isName: false }) - 1;
          node.next.set(codePoint, next);
        }
        node = this.#nodes[next]!;
      }
      node.isName = true;
    }
  }

  /** `#nodes.length` is the state of texts that none of the names begins with. */
  step(state: number, codePoint: number): number {
    return this.#nodes[state]?.next.get(codePoint) ?? this.#nodes.length;
  }

  isEnd(state: number): boolean {
    return !(this.#nodes[state]?.isName ?? false);
  }

  *borders(state: number): Iterable<number> {
    for (const codePoint of this.#nodes[state]?.next.keys() ?? []) {
      yield codePoint;
      yield codePoint + 1;
    }
  }
}

/** Decimals that are multiples of `divisor / 10 ** decimals`. */
export class MultipleAutomaton implements TextAutomaton {
  readonly start = 0;
  readonly divisor: number;
  readonly #decimals: number;

  /**
   * @param divisor - a whole number from 1 on
   * @param decimals - digits behind the point there may be
   */
  constructor(divisor: number, decimals: number) {
    this.divisor = divisor;
    this.#decimals = decimals;
  }

  /** A state is the remainder of the digits so far, and how many are behind the point: 0 where there is none yet. */
  step(state: number, codePoint: number): number {
    const width = this.#decimals + 2;
    const [remainder, place] = [Math.floor(state / width), state % width];
    if (codePoint === 0x2d) return state === 0 ? state : dead;
    if (codePoint === 0x2e) return place === 0 && this.#decimals > 0 ? state + 1 : dead;
    if (codePoint < 0x30 || codePoint > 0x39 || place > this.#decimals) return dead;
    const next = (remainder * 10 + codePoint - 0x30) % this.divisor;
    return next * width + (place === 0 ? 0 : place + 1);
  }

  isEnd(state: number): boolean {
    const width = this.#decimals + 2;
    const missing = this.#decimals - Math.max(0, (state % width) - 1);
    let remainder = Math.floor(state / width);
    for (let i = 0; i < missing; i++) remainder = (remainder * 10) % this.divisor;
    return remainder === 0;
  }

  borders(): Iterable<number> {
    return Array.from({ length: 14 }, (_, i) => 0x2d + i);
  }
}
