import type { RowRange, StoredMatrix } from "../files/checkpoint.ts";
import type { FileBlocks } from "../files/tensor-encoding.ts";

/** A matrix that is read in parts, row-major. */
export interface MatrixRows {
  /** How it is stored. @default as fp32 */
  readonly stored?: StoredMatrix;
  readonly rows: number;
  readonly columns: number;
  /** @returns shape `[end - start, columns]` */
  readonly read: (range: RowRange) => Float32Array;
}

/** Matrices of as many columns, the rows of one after those of the other. */
export function stackedRows(matrices: readonly MatrixRows[]): MatrixRows {
  const forParts = <T>(range: RowRange, read: (matrix: MatrixRows, range: RowRange) => T): T[] => {
    let first = 0;
    return matrices.flatMap((matrix) => {
      const [start, end] = [
        Math.max(range.start - first, 0),
        Math.min(range.end - first, matrix.rows),
      ];
      first += matrix.rows;
      return start < end ? [read(matrix, { start, end })] : [];
    });
  };
  const stored = stackedBlocks(matrices, forParts);
  return {
    rows: matrices.reduce((sum, { rows }) => sum + rows, 0),
    columns: matrices[0]!.columns,
    ...(stored && { stored }),
    read: (range) => concatenate(forParts(range, (matrix, part) => matrix.read(part))),
  };
}

/** Blocks of matrices of one kind, those of one after those of the other; of several kinds there are none in common. */
function stackedBlocks(
  matrices: readonly MatrixRows[],
  forParts: <T>(range: RowRange, read: (matrix: MatrixRows, range: RowRange) => T) => T[],
): StoredMatrix | null {
  const all = matrices.flatMap(({ stored }) => (stored ? [stored] : []));
  if (all.length < matrices.length) return null;
  const bits = Math.max(...all.map((stored) => stored.bits));
  const kinds = new Set(all.map(({ blocks }) => blocks?.bits));
  const [kind] = kinds;
  if (kinds.size > 1 || kind === undefined) return { bits, blocks: null };
  const read = (range: RowRange): FileBlocks => {
    const parts = forParts(range, (matrix, part) => matrix.stored!.blocks!.read(part));
    const hasOffsets = parts.some(({ offsets }) => offsets !== null);
    return {
      data: Uint8Array.from(Buffer.concat(parts.map(({ data }) => data))),
      scales: concatenate(parts.map(({ scales }) => scales)),
      offsets: hasOffsets
        ? concatenate(
            parts.map(({ offsets, scales }) => offsets ?? new Float32Array(scales.length)),
          )
        : null,
    };
  };
  return { bits, blocks: { bits: kind, read } };
}

/** A stored matrix times a number. */
export function scaledMatrix({ bits, blocks }: StoredMatrix, scale: number): StoredMatrix {
  if (blocks === null || scale === 1) return { bits, blocks };
  const read = (range: RowRange): FileBlocks => {
    const { data, scales, offsets } = blocks.read(range);
    return { data, scales: scaled(scales, scale), offsets: offsets && scaled(offsets, scale) };
  };
  return { bits, blocks: { bits: blocks.bits, read } };
}

export function scaled(values: Float32Array, scale: number): Float32Array {
  return scale === 1 ? values : values.map((value) => value * scale);
}

export function concatenate(parts: readonly Float32Array[]): Float32Array {
  if (parts.length === 1) return parts[0]!;
  const result = new Float32Array(parts.reduce((length, part) => length + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    result.set(part, offset);
    offset += part.length;
  }
  return result;
}
