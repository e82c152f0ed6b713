import { NoTokenLeftError } from "../contract/errors.ts";
import type { GenerateRequest } from "../contract/request.ts";

type Rules = Pick<GenerateRequest, "allowedTokens" | "bannedTokens" | "minTokens">;

/** Which tokens may come next beside what a grammar says: those that a request allows and does not ban. */
export class TokenRules {
  readonly #allowed: Int32Array;
  readonly #banned: readonly (readonly number[])[];
  readonly #minTokens: number;
  readonly #endTokenIds: readonly number[];

  /** @param endTokenIds of tokens that end the answer */
  constructor(rules: Rules, endTokenIds: Iterable<number>, vocabSize: number) {
    this.#allowed = rules.allowedTokens ?? tokenSet(ascending(vocabSize), vocabSize);
    this.#banned = rules.bannedTokens ?? [];
    this.#minTokens = rules.minTokens ?? 0;
    this.#endTokenIds = [...endTokenIds];
  }

  /** Whether a request has any. */
  static areIn({ allowedTokens, bannedTokens, minTokens }: Rules): boolean {
    return allowedTokens !== undefined || bannedTokens !== undefined || minTokens !== undefined;
  }

  /**
   * Bit `i % 32` of element `i / 32` is set where token `i` may come next.
   * @param output tokens so far
   * @param grammar the tokens that it allows, likewise; null for all. Where it allows nothing but the end, the end comes.
   * @throws NoTokenLeftError
   */
  mask(output: Uint32Array, grammar: Int32Array | null): Int32Array {
    const mask = Int32Array.from(this.#allowed, (bits, word) =>
      grammar === null ? bits : bits & (grammar[word] ?? 0),
    );
    for (const banned of this.#banned) {
      const last = banned.at(-1)!;
      if (endsWith(output, banned, banned.length - 1)) exclude(mask, last);
    }
    if (output.length < this.#minTokens) {
      const withEnds = mask.slice();
      for (const id of this.#endTokenIds) exclude(mask, id);
      if (grammar !== null && isEmpty(mask)) mask.set(withEnds);
    }
    if (isEmpty(mask)) throw new NoTokenLeftError();
    return mask;
  }
}

/** As a mask: bit `i % 32` of element `i / 32` is set for each id `i`. */
export function tokenSet(ids: Iterable<number>, vocabSize: number): Int32Array {
  const set = new Int32Array(Math.ceil(vocabSize / 32));
  for (const id of ids) set[id >>> 5]! |= 1 << (id & 31);
  return set;
}

function* ascending(end: number): Generator<number> {
  for (let id = 0; id < end; id++) yield id;
}

function exclude(mask: Int32Array, tokenId: number): void {
  mask[tokenId >>> 5]! &= ~(1 << (tokenId & 31));
}

function isEmpty(mask: Int32Array): boolean {
  return mask.every((bits) => bits === 0);
}

/** Whether the first `length` of `ids` are the last of `output`. */
function endsWith(output: Uint32Array, ids: readonly number[], length: number): boolean {
  const start = output.length - length;
  if (start < 0) return false;
  for (let i = 0; i < length; i++) if (output[start + i] !== ids[i]) return false;
  return true;
}
