/** Added to the score of a position that must not be seen. */
const hiddenScore = -1e30;

/** Which positions each new token of a batch sees: those of its sequence's past first, then the new ones. None at first. */
export class AttentionMask {
  readonly numSequences: number;
  readonly numNewTokens: number;
  /** Positions of the past, used or not, the same for all sequences. */
  readonly capacity: number;
  /** Shape `[numSequences, 1, 1, numNewTokens, capacity + numNewTokens]`. */
  readonly scores: Float32Array;

  constructor(numSequences: number, numNewTokens: number, capacity = 0) {
    this.numSequences = numSequences;
    this.numNewTokens = numNewTokens;
    this.capacity = capacity;
    const numScores = numSequences * numNewTokens * (capacity + numNewTokens);
    this.scores = new Float32Array(numScores).fill(hiddenScore);
  }

  /** @param token new one, counted over all sequences */
  show(token: number, start: number, end: number): void {
    this.#fill(token, start, end, 0);
  }

  hide(token: number, start: number, end: number): void {
    this.#fill(token, start, end, hiddenScore);
  }

  #fill(token: number, start: number, end: number, score: number): void {
    const row = token * (this.capacity + this.numNewTokens);
    this.scores.fill(score, row + start, row + end);
  }
}

/** A new token sees the past of its own sequence, the new ones before it and itself. */
export function causalMask(
  pastLengths: readonly number[],
  numNewTokens: number,
  capacity: number,
): AttentionMask {
  const mask = new AttentionMask(pastLengths.length, numNewTokens, capacity);
  for (const [sequence, past] of pastLengths.entries()) {
    for (let token = 0; token < numNewTokens; token++) {
      const row = sequence * numNewTokens + token;
      mask.show(row, 0, past);
      mask.show(row, capacity, capacity + token + 1);
    }
  }
  return mask;
}

/**
 * Hides what lies as far back as the window is wide, or farther.
 * @param positions of the new tokens in their sequences, shape `[numSequences, numNewTokens]`; the past's are its places
 * @returns another mask
 */
export function withinWindow(
  mask: AttentionMask,
  positions: BigInt64Array,
  window: number,
): AttentionMask {
  const { numSequences, numNewTokens, capacity } = mask;
  const narrowed = new AttentionMask(numSequences, numNewTokens, capacity);
  narrowed.scores.set(mask.scores);
  for (const [token, position] of positions.entries()) {
    const first = Number(position) - window + 1;
    narrowed.hide(token, 0, Math.min(capacity, Math.max(0, first)));
    const start = Math.floor(token / numNewTokens) * numNewTokens;
    for (let other = 0; other < numNewTokens; other++) {
      const isOut = Number(positions[start + other]!) < first;
      if (isOut) narrowed.hide(token, capacity + other, capacity + other + 1);
    }
  }
  return narrowed;
}
