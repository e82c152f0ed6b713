const utf8 = new TextEncoder();

/** Which neighbouring tokens merge into one, and in which order. */
export interface MergeTable {
  /** The rule that merges `left` and `right`, or -1. */
  find(left: number, right: number): number;
  /** Rules of lower rank are applied first; below 2 ** 21. */
  rank(rule: number): number;
  /** The token a rule makes. */
  token(rule: number): number;
}

/** Merges in an explicit order, as trained: `merges[i]` has rank `i`. */
export class ListedMerges implements MergeTable {
  readonly #vocabSize: number;
  readonly #rules = new Map<number, number>();
  readonly #tokens: Int32Array;

  constructor(
    vocab: ReadonlyMap<string, number>,
    vocabSize: number,
    merges: readonly (readonly [string, string])[],
  ) {
    this.#vocabSize = vocabSize;
    this.#tokens = new Int32Array(merges.length);
    for (const [rule, [left, right]] of merges.entries()) {
      const leftId = vocab.get(left);
      const rightId = vocab.get(right);
      const mergedId = vocab.get(left + right);
      // A merge of tokens that do not exist can never apply.
      if (leftId === undefined || rightId === undefined || mergedId === undefined) continue;
      const key = leftId * vocabSize + rightId;
      if (this.#rules.has(key)) continue;
      this.#rules.set(key, rule);
      this.#tokens[rule] = mergedId;
    }
  }

  find(left: number, right: number): number {
    return this.#rules.get(left * this.#vocabSize + right) ?? -1;
  }

  rank(rule: number): number {
    return rule;
  }

  token(rule: number): number {
    return this.#tokens[rule]!;
  }
}

/** Pairs looked up so far are remembered, at most this many (about 20 MB). */
const maxRememberedPairs = 1 << 18;

/**
 * SentencePiece BPE: any two tokens merge whose joined text is a token, higher scores first. A rule is
 * the id of the token it makes.
 */
export class ScoredMerges implements MergeTable {
  readonly #vocab: ReadonlyMap<string, number>;
  readonly #texts: readonly string[];
  readonly #ranks: Uint32Array;
  readonly #found = new Map<number, number>();

  /** `vocab` holds only the tokens that may be part or result of a merge. */
  constructor(
    vocab: ReadonlyMap<string, number>,
    texts: readonly string[],
    scores: readonly number[],
  ) {
    this.#vocab = vocab;
    this.#texts = texts;
    this.#ranks = new Uint32Array(texts.length);
    const ids = [...vocab.values()].sort((a, b) => scores[b]! - scores[a]!);
    let rank = 0;
    for (const [position, id] of ids.entries()) {
      if (position > 0 && scores[id] !== scores[ids[position - 1]!]) rank++;
      this.#ranks[id] = rank;
    }
  }

  find(left: number, right: number): number {
    const key = left * this.#texts.length + right;
    const known = this.#found.get(key);
    if (known !== undefined) return known;
    const rule =
      this.#isMergeable(left) && this.#isMergeable(right) ? this.#idOfJoined(left, right) : -1;
    if (this.#found.size >= maxRememberedPairs) this.#found.clear();
    this.#found.set(key, rule);
    return rule;
  }

  rank(rule: number): number {
    return this.#ranks[rule]!;
  }

  token(rule: number): number {
    return rule;
  }

  #isMergeable(id: number): boolean {
    return this.#vocab.get(this.#texts[id]!) === id;
  }

  #idOfJoined(left: number, right: number): number {
    return this.#vocab.get(this.#texts[left]! + this.#texts[right]!) ?? -1;
  }
}

export interface BpeOptions {
  /** Token ids of the 256 bytes, for characters outside the vocabulary. */
  readonly byteTokenIds: Int32Array | null;
  /** Stands for a character that has neither token nor bytes; null drops it. */
  readonly unknownTokenId: number | null;
  /** One unknown token for a run of unknown characters. */
  readonly fuseUnknown: boolean;
  /** A word that is a token as a whole is not built by merges. */
  readonly wholeWords: boolean;
}

const maxCachedWords = 20_000;
const maxCachedWordLength = 64;
const rankStride = 2 ** 32;

/**
 * Byte-pair encoding of one word (or, for SentencePiece, a whole text) in O(n log n) time: a heap of
 * possible merges ordered by rank, then position.
 */
export class BytePairEncoder {
  readonly #vocab: ReadonlyMap<string, number>;
  readonly #merges: MergeTable;
  readonly #options: BpeOptions;
  readonly #cache = new Map<string, readonly number[]>();

  /** `vocab` holds the tokens that stand for text: no control tokens. */
  constructor(vocab: ReadonlyMap<string, number>, merges: MergeTable, options: BpeOptions) {
    this.#vocab = vocab;
    this.#merges = merges;
    this.#options = options;
  }

  /** Appends the token ids of `word` to `out`. */
  encode(word: string, out: number[]): void {
    const cached = this.#cache.get(word);
    if (cached !== undefined) {
      for (const id of cached) out.push(id);
      return;
    }
    const start = out.length;
    const whole = this.#options.wholeWords ? this.#vocab.get(word) : undefined;
    if (whole !== undefined) out.push(whole);
    else this.#merge(this.#characterIds(word), out);
    if (word.length > maxCachedWordLength) return;
    if (this.#cache.size >= maxCachedWords) this.#cache.clear();
    this.#cache.set(word, out.slice(start));
  }

  #characterIds(word: string): number[] {
    const { byteTokenIds, unknownTokenId, fuseUnknown } = this.#options;
    const ids: number[] = [];
    for (const character of word) {
      const id = this.#vocab.get(character);
      if (id !== undefined) {
        ids.push(id);
      } else if (byteTokenIds !== null) {
        for (const byte of utf8.encode(character)) ids.push(byteTokenIds[byte]!);
      } else if (unknownTokenId !== null && !(fuseUnknown && ids.at(-1) === unknownTokenId)) {
        ids.push(unknownTokenId);
      }
    }
    return ids;
  }

  #merge(ids: number[], out: number[]): void {
    const count = ids.length;
    const merges = this.#merges;
    const next = new Int32Array(count);
    const previous = new Int32Array(count);
    /** Rule that merges a position with the next one; -1 where there is none or the position is gone. */
    const rules = new Int32Array(count).fill(-1);
    const heap = new MergeHeap();

    const consider = (position: number): void => {
      const right = next[position]!;
      const rule = right < count ? merges.find(ids[position]!, ids[right]!) : -1;
      rules[position] = rule;
      if (rule >= 0) heap.push(merges.rank(rule) * rankStride + position);
    };

    for (let i = 0; i < count; i++) {
      next[i] = i + 1;
      previous[i] = i - 1;
      consider(i);
    }
    while (heap.size > 0) {
      const key = heap.pop();
      const rank = Math.floor(key / rankStride);
      const position = key - rank * rankStride;
      const rule = rules[position]!;
      // The pair at this position has changed since it was pushed.
      if (rule < 0 || merges.rank(rule) !== rank) continue;
      const removed = next[position]!;
      const after = next[removed]!;
      ids[position] = merges.token(rule);
      rules[removed] = -1;
      next[position] = after;
      if (after < count) previous[after] = position;
      consider(position);
      if (previous[position]! >= 0) consider(previous[position]!);
    }
    for (let i = 0; i < count; i = next[i]!) out.push(ids[i]!);
  }
}

/** Binary min-heap of numbers. */
class MergeHeap {
  readonly #keys: number[] = [];

  get size(): number {
    return this.#keys.length;
  }

  push(key: number): void {
    const keys = this.#keys;
    let i = keys.length;
    keys.push(key);
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (keys[parent]! <= key) break;
      keys[i] = keys[parent]!;
      i = parent;
    }
    keys[i] = key;
  }

  /** The smallest key. Must not be called when empty. */
  pop(): number {
    const keys = this.#keys;
    const smallest = keys[0]!;
    const last = keys.pop()!;
    const size = keys.length;
    if (size === 0) return smallest;
    let i = 0;
    for (let child = 1; child < size; child = 2 * i + 1) {
      if (child + 1 < size && keys[child + 1]! < keys[child]!) child++;
      if (keys[child]! >= last) break;
      keys[i] = keys[child]!;
      i = child;
    }
    keys[i] = last;
    return smallest;
  }
}
