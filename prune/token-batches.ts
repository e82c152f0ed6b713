/** Sequences side by side, as one forward pass takes them: `numRows` rows of `length` tokens. */
export interface TokenBatch {
  readonly numRows: number;
  readonly length: number;
  /** Shape `[numRows, length]`; 0 where padded. */
  readonly tokenIds: BigInt64Array;
  /** Position in the own sequence. Shape `[numRows, length]`; 0 where padded. */
  readonly positions: BigInt64Array;
  /** Index of the sequence that a token is of. Shape `[numRows, length]`; -1 where padded. */
  readonly sequences: Int32Array;
  /** Ascending indices of the tokens that are not padding. */
  readonly tokenRows: BigInt64Array;
}

/** Attention takes time by the square of a row's length. */
const rowLength = 512;
/** Together enough tokens that what is done once a pass weighs little. */
const rowsPerBatch = 4;

/**
 * Packs sequences into rows, first fit by falling length, several to a row. A row is as long as the
 * longest sequence where that is longer than 512 tokens.
 */
export function packSequences(sequences: readonly Uint32Array[]): TokenBatch[] {
  const length = sequences.reduce((longest, ids) => Math.max(longest, ids.length), rowLength);
  const byLength = Array.from(sequences, (_, index) => index).sort(
    (a, b) => sequences[b]!.length - sequences[a]!.length || a - b,
  );
  const rows: { used: number; readonly members: number[] }[] = [];
  let firstOpen = 0;
  for (const index of byLength) {
    const size = sequences[index]!.length;
    if (size === 0) continue;
    while (firstOpen < rows.length && rows[firstOpen]!.used === length) firstOpen += 1;
    let row = rows.find(({ used }, place) => place >= firstOpen && used + size <= length);
    if (row === undefined) rows.push((row = { used: 0, members: [] }));
    row.used += size;
    row.members.push(index);
  }
  const batches: TokenBatch[] = [];
  for (let start = 0; start < rows.length; start += rowsPerBatch) {
    const members = rows.slice(start, start + rowsPerBatch).map((row) => row.members);
    batches.push(fillBatch(members, sequences, length));
  }
  return batches;
}

function fillBatch(
  rows: readonly (readonly number[])[],
  sequences: readonly Uint32Array[],
  fullLength: number,
): TokenBatch {
  const numTokens = rows.map((members) =>
    members.reduce((total, index) => total + sequences[index]!.length, 0),
  );
  const length = Math.min(fullLength, Math.max(...numTokens));
  const size = rows.length * length;
  const tokenIds = new BigInt64Array(size);
  const positions = new BigInt64Array(size);
  const owners = new Int32Array(size).fill(-1);
  const tokenRows: bigint[] = [];
  for (const [row, members] of rows.entries()) {
    let at = row * length;
    for (const index of members) {
      for (const [position, tokenId] of sequences[index]!.entries()) {
        tokenIds[at] = BigInt(tokenId);
        positions[at] = BigInt(position);
        owners[at] = index;
        tokenRows.push(BigInt(at));
        at += 1;
      }
    }
  }
  return {
    numRows: rows.length,
    length,
    tokenIds,
    positions,
    sequences: owners,
    tokenRows: BigInt64Array.from(tokenRows),
  };
}
