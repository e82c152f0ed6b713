import type { TokenBatch } from "../token-batches.ts";

/** A sequence and which of its tokens are asked for. */
export interface ScoredSequence {
  readonly tokenIds: Uint32Array;
  /** Index of the first token whose probability counts, at least 1; all after it count too. */
  readonly firstScored: number;
}

/** Several sequences in one row of a forward pass, with the hidden states to read after it. */
export interface ScoringBatch {
  /** One row; `sequences` numbers the groups. */
  readonly tokens: TokenBatch;
  readonly numGroups: number;
  /** Tokens that do not see what lies between the end of their group's common part and their start. */
  readonly branches: readonly Branch[];
  /** Token whose hidden state predicts a target. Shape `[numTargets]`. */
  readonly targetRows: BigInt64Array;
  /** Shape `[numTargets]`. */
  readonly targetIds: BigInt64Array;
  /** Sequence that a target is of, counted over all groups. Shape `[numTargets]`. */
  readonly targetSequences: Int32Array;
}

interface Branch {
  readonly commonEnd: number;
  readonly start: number;
  readonly end: number;
}

/**
 * Tokens of a forward pass, where its first group is not longer. A token costs the same between 64 and 256
 * tokens (measured on CPUs) and 20 % more at 512, as attention takes time by the square.
 */
const tokensPerBatch = 128;

/**
 * Lays out groups of sequences, as the choices of a question are. What the sequences of a group have in common
 * at their beginning is computed once: the rest of each follows it as a branch that does not see the others.
 */
export function packGroups(groups: readonly (readonly ScoredSequence[])[]): ScoringBatch[] {
  const batches: ScoringBatch[] = [];
  let open = new BatchWriter();
  let firstSequence = 0;
  for (const group of groups) {
    const commonLength = commonPrefixLength(group);
    const numTokens = group.reduce(
      (sum, { tokenIds }) => sum + tokenIds.length - 1 - commonLength,
      commonLength,
    );
    if (open.length > 0 && open.length + numTokens > tokensPerBatch) {
      batches.push(open.finish());
      open = new BatchWriter();
    }
    open.add(group, commonLength, firstSequence);
    firstSequence += group.length;
  }
  if (open.length > 0) batches.push(open.finish());
  return batches;
}

/** Of what the model reads of each sequence: all but the last token. */
function commonPrefixLength(group: readonly ScoredSequence[]): number {
  const [first, ...others] = group.map(({ tokenIds }) => tokenIds.subarray(0, -1));
  if (first === undefined) return 0;
  let length = first.length;
  for (const ids of others) {
    let same = 0;
    while (same < length && same < ids.length && ids[same] === first[same]) same += 1;
    length = same;
  }
  return length;
}

class BatchWriter {
  readonly #tokenIds: number[] = [];
  readonly #positions: number[] = [];
  readonly #groups: number[] = [];
  readonly #branches: Branch[] = [];
  readonly #targets: { row: number; id: number; sequence: number }[] = [];
  #numGroups = 0;

  get length(): number {
    return this.#tokenIds.length;
  }

  add(group: readonly ScoredSequence[], commonLength: number, firstSequence: number): void {
    const groupStart = this.length;
    const commonEnd = groupStart + commonLength;
    this.#append(group[0]!.tokenIds, 0, commonLength);
    for (const [index, { tokenIds, firstScored }] of group.entries()) {
      const start = this.length;
      this.#append(tokenIds, commonLength, tokenIds.length - 1);
      if (this.length > start) this.#branches.push({ commonEnd, start, end: this.length });
      for (let target = firstScored; target < tokenIds.length; target++) {
        const before = target - 1;
        const row = before < commonLength ? groupStart + before : start + (before - commonLength);
        this.#targets.push({ row, id: tokenIds[target]!, sequence: firstSequence + index });
      }
    }
    this.#numGroups += 1;
  }

  #append(tokenIds: Uint32Array, from: number, to: number): void {
    for (let position = from; position < to; position++) {
      this.#tokenIds.push(tokenIds[position]!);
      this.#positions.push(position);
      this.#groups.push(this.#numGroups);
    }
  }

  finish(): ScoringBatch {
    const { length } = this;
    return {
      tokens: {
        numRows: 1,
        length,
        tokenIds: BigInt64Array.from(this.#tokenIds, BigInt),
        positions: BigInt64Array.from(this.#positions, BigInt),
        sequences: Int32Array.from(this.#groups),
        tokenRows: BigInt64Array.from({ length }, (_, token) => BigInt(token)),
      },
      numGroups: this.#numGroups,
      branches: this.#branches,
      targetRows: BigInt64Array.from(this.#targets, ({ row }) => BigInt(row)),
      targetIds: BigInt64Array.from(this.#targets, ({ id }) => BigInt(id)),
      targetSequences: Int32Array.from(this.#targets, ({ sequence }) => sequence),
    };
  }
}
