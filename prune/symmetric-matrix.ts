import { inverseFactor, rowsOf, transpose } from "./matrix.ts";
import type { Matrix } from "./matrix.ts";
import type { MatrixProducts } from "./matrix-products.ts";

/** Columns of a panel: enough for fast products, few beside what plain code for its square costs. */
const PANEL_SIZE = 64;

/**
 * A symmetric matrix whose bulk work is products. Its columns lie in panels that have the rows from their first
 * column down, so that what is subtracted from a panel is one piece of memory.
 */
export class SymmetricMatrix {
  readonly size: number;
  /** Rows from `panel * PANEL_SIZE`, row-major; what is above the diagonal has no meaning. */
  readonly #panels: Float64Array[];

  private constructor(size: number, panels: Float64Array[]) {
    this.size = size;
    this.#panels = panels;
  }

  /**
   * Some rows and columns of a packed matrix.
   * @param packed lower triangle by rows: element (i, j) at `i (i + 1) / 2 + j`
   * @param indices ascending
   * @param damping added to the diagonal
   */
  static fromPacked(
    packed: Float64Array,
    indices: readonly number[],
    damping: number,
  ): SymmetricMatrix {
    const size = indices.length;
    const result = SymmetricMatrix.#zero(size);
    for (const [index, panel] of result.#panels.entries()) {
      const first = index * PANEL_SIZE;
      const width = panel.length / (size - first);
      for (let i = first; i < size; i++) {
        const start = (indices[i]! * (indices[i]! + 1)) / 2;
        const at = (i - first) * width - first;
        for (let j = first; j < first + width && j <= i; j++) {
          panel[at + j] = packed[start + indices[j]!]!;
        }
        if (i < first + width) panel[at + i]! += damping;
      }
    }
    return result;
  }

  static #zero(size: number): SymmetricMatrix {
    const panels: Float64Array[] = [];
    for (let first = 0; first < size; first += PANEL_SIZE) {
      panels.push(new Float64Array((size - first) * Math.min(PANEL_SIZE, size - first)));
    }
    return new SymmetricMatrix(size, panels);
  }

  at(i: number, j: number): number {
    return j <= i ? this.#lowerAt(i, j) : this.#lowerAt(j, i);
  }

  /** Shape `[indices.length, indices.length]`. */
  square(indices: readonly number[]): Matrix {
    const size = indices.length;
    const data = new Float64Array(size * size);
    for (let i = 0; i < size; i++) {
      for (let j = 0; j < size; j++) data[i * size + j] = this.at(indices[i]!, indices[j]!);
    }
    return { data, rows: size, columns: size };
  }

  /** Shape `[size, indices.length]`. */
  columns(indices: readonly number[]): Matrix {
    const [rows, columns] = [this.size, indices.length];
    const data = new Float64Array(rows * columns);
    for (const [index, panel] of this.#panels.entries()) {
      const first = index * PANEL_SIZE;
      const width = panel.length / (rows - first);
      for (const [at, j] of indices.entries()) {
        // Left of the diagonal there are rows of this panel, below it a column.
        for (let i = first; i < first + width && i < j; i++) {
          data[i * columns + at] = panel[(j - first) * width + i - first]!;
        }
        if (j < first || j >= first + width) continue;
        for (let i = j; i < rows; i++) {
          data[i * columns + at] = panel[(i - first) * width + j - first]!;
        }
      }
    }
    return { data, rows, columns };
  }

  /** The rows and columns of some indices. @param indices ascending */
  select(indices: readonly number[]): SymmetricMatrix {
    const size = indices.length;
    const result = SymmetricMatrix.#zero(size);
    for (const [index, panel] of result.#panels.entries()) {
      const first = index * PANEL_SIZE;
      const width = panel.length / (size - first);
      // Columns that are neighbours mostly come from one panel.
      for (let j = first; j < first + width;) {
        const start = indices[j]! - (indices[j]! % PANEL_SIZE);
        const source = this.#panels[start / PANEL_SIZE]!;
        const sourceWidth = source.length / (this.size - start);
        let end = j + 1;
        while (end < first + width && indices[end]! < start + PANEL_SIZE) end++;
        for (let i = j; i < size; i++) {
          const at = (i - first) * width - first;
          const sourceAt = (indices[i]! - start) * sourceWidth - start;
          for (let k = j; k < end && k <= i; k++) panel[at + k] = source[sourceAt + indices[k]!]!;
        }
        j = end;
      }
    }
    return result;
  }

  /** Shape `[size, size]`. */
  toDense(): Matrix {
    const { size } = this;
    const data = new Float64Array(size * size);
    for (let i = 0; i < size; i++) {
      for (let j = 0; j <= i; j++) {
        const value = this.#lowerAt(i, j);
        data[i * size + j] = value;
        data[j * size + i] = value;
      }
    }
    return { data, rows: size, columns: size };
  }

  /** This - factor factorᵀ. @param factor shape `[size, depth]` */
  async subtractSquare(products: MatrixProducts, factor: Matrix): Promise<SymmetricMatrix> {
    const panels: Float64Array[] = [];
    for (const [index, data] of this.#panels.entries()) {
      const first = index * PANEL_SIZE;
      const rows = this.size - first;
      const panel = { data, rows, columns: data.length / rows };
      const left = rowsOf(factor, first, this.size);
      const right = rowsOf(factor, first, first + panel.columns);
      panels.push((await products.subtract(left, right, panel)).data);
    }
    return new SymmetricMatrix(this.size, panels);
  }

  /** @returns null where this is not positive definite. */
  async inverse(products: MatrixProducts): Promise<SymmetricMatrix | null> {
    const { size } = this;
    // A sweep puts -S⁻¹ in the place of a square S on the diagonal and C S⁻¹ in that of its other columns C, and
    // takes C S⁻¹ Cᵀ off everything else. After all sweeps there is minus the inverse.
    let swept = new SymmetricMatrix(size, this.#panels);
    for (let first = 0; first < size; first += PANEL_SIZE) {
      const end = Math.min(first + PANEL_SIZE, size);
      const columns = swept.columns(Array.from({ length: end - first }, (_, j) => first + j));
      const inverse = inverseFactor(rowsOf(columns, first, end));
      if (!inverse) return null;
      const scaled = await products.subtract(columns, inverse);
      scaled.data.fill(0, first * scaled.columns, end * scaled.columns);
      const transposed = transpose(inverse);
      const solved = await products.subtract(scaled, transposed);
      const square = await products.subtract(transposed, transposed);
      solved.data.set(square.data, first * solved.columns);
      swept = await swept.subtractSquare(products, scaled);
      swept.#setColumns(first, solved);
    }
    for (const panel of swept.#panels) {
      for (let at = 0; at < panel.length; at++) panel[at] = -panel[at]!;
    }
    return swept;
  }

  /** Sets the columns of a panel, and so the same rows left of it. */
  #setColumns(first: number, { data, columns }: Matrix): void {
    this.#panels[first / PANEL_SIZE]!.set(data.subarray(first * columns));
    for (let j = 0; j < first; j++) {
      const start = j - (j % PANEL_SIZE);
      const panel = this.#panels[start / PANEL_SIZE]!;
      for (let i = 0; i < columns; i++) {
        panel[(first + i - start) * PANEL_SIZE + j - start] = data[j * columns + i]!;
      }
    }
  }

  /** For j <= i. */
  #lowerAt(i: number, j: number): number {
    const first = j - (j % PANEL_SIZE);
    const width = Math.min(PANEL_SIZE, this.size - first);
    return this.#panels[first / PANEL_SIZE]![(i - first) * width + j - first]!;
  }
}
