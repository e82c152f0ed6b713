/** Added to the score of a position that must not be seen. */
const hiddenScore = -1e30;

/** Which positions each new token of a batch sees: those of its sequence's past first, then those of its tail. None at first. */
export class AttentionMask {
  readonly numSequences: number;
  readonly numNewTokens: number;
  /** Positions of the past, used or not, the same for all sequences. */
  readonly capacity: number;
  /** Positions of the tail, used or not, the same for all sequences. */
  readonly tailLength: number;
  /** Shape `[numSequences, numNewTokens, capacity + tailLength]`. */
  readonly scores: Float32Array;

  /** @param tailLength @default the new tokens alone */
  constructor(numSequences: number, numNewTokens: number, capacity = 0, tailLength = numNewTokens) {
    this.numSequences = numSequences;
    this.numNewTokens = numNewTokens;
    this.capacity = capacity;
    this.tailLength = tailLength;
    const numScores = numSequences * numNewTokens * this.width;
    this.scores = new Float32Array(numScores).fill(hiddenScore);
  }

  /** Positions in a row. */
  get width(): number {
    return this.capacity + this.tailLength;
  }

  /** @param token new one, counted over all sequences */
  show(token: number, start: number, end: number): void {
    this.#fill(token, start, end, 0);
  }

  hide(token: number, start: number, end: number): void {
    this.#fill(token, start, end, hiddenScore);
  }

  #fill(token: number, start: number, end: number, score: number): void {
    const row = token * this.width;
    this.scores.fill(score, row + start, row + end);
  }
}

/** Where the new tokens of some sequences meet what was there before. */
export interface TailPlaces {
  /** Positions before the new tokens, by sequence. */
  readonly pastLengths: readonly number[];
  /** Those of them that are in the past, by sequence; the rest is in the tail. */
  readonly tailStarts: readonly number[];
  readonly numNewTokens: number;
  readonly capacity: number;
  readonly tailLength: number;
}

/** A new token sees what its own sequence has before the new ones, the new ones before it and itself. */
export function causalMask(places: TailPlaces): AttentionMask {
  const { pastLengths, tailStarts, numNewTokens, capacity, tailLength } = places;
  const mask = new AttentionMask(pastLengths.length, numNewTokens, capacity, tailLength);
  for (const [sequence, tailStart] of tailStarts.entries()) {
    const first = capacity + pastLengths[sequence]! - tailStart;
    for (let token = 0; token < numNewTokens; token++) {
      const row = sequence * numNewTokens + token;
      mask.show(row, 0, tailStart);
      mask.show(row, capacity, first + token + 1);
    }
  }
  return mask;
}

/**
 * Hides what lies as far back as the window is wide, or farther.
 * @param positions in their sequences: of the new tokens, shape `[numSequences, numNewTokens]`, and of the places of the
 *   tail, shape `[numSequences, tailLength]`; the past's are its places
 * @returns another mask
 */
export function withinWindow(
  mask: AttentionMask,
  positions: { readonly ofTokens: BigInt64Array; readonly ofTail: BigInt64Array },
  window: number,
): AttentionMask {
  const { numSequences, numNewTokens, capacity, tailLength } = mask;
  const narrowed = new AttentionMask(numSequences, numNewTokens, capacity, tailLength);
  narrowed.scores.set(mask.scores);
  for (const [token, position] of positions.ofTokens.entries()) {
    const first = Number(position) - window + 1;
    narrowed.hide(token, 0, Math.min(capacity, Math.max(0, first)));
    const start = Math.floor(token / numNewTokens) * tailLength;
    for (let other = 0; other < tailLength; other++) {
      const isOut = Number(positions.ofTail[start + other]!) < first;
      if (isOut) narrowed.hide(token, capacity + other, capacity + other + 1);
    }
  }
  return narrowed;
}
