import { blockOf, rowsOf } from "./matrix.ts";
import type { Matrix } from "./matrix.ts";
import type { MatrixProducts } from "./matrix-products.ts";

/** Columns of a panel: enough for fast products, with little computed in vain above the diagonal. */
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

  /** @param dense what is above the diagonal is not read */
  static from(dense: Matrix): SymmetricMatrix {
    const size = dense.rows;
    const panels: Float64Array[] = [];
    for (let first = 0; first < size; first += PANEL_SIZE) {
      const width = Math.min(PANEL_SIZE, size - first);
      panels.push(blockOf(dense, [first, first], [size - first, width]).data);
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
    const panels: Float64Array[] = [];
    for (let first = 0; first < size; first += PANEL_SIZE) {
      const width = Math.min(PANEL_SIZE, size - first);
      const panel = new Float64Array((size - first) * width);
      for (let j = first; j < first + width;) {
        // Columns from one panel are copied together.
        const start = indices[j]! - (indices[j]! % PANEL_SIZE);
        const source = this.#panels[start / PANEL_SIZE]!;
        const sourceWidth = Math.min(PANEL_SIZE, this.size - start);
        let end = j + 1;
        while (end < first + width && indices[end]! < start + PANEL_SIZE) end++;
        for (let i = j; i < size; i++) {
          const at = (i - first) * width - first;
          const sourceAt = (indices[i]! - start) * sourceWidth - start;
          for (let k = j; k < end; k++) panel[at + k] = source[sourceAt + indices[k]!]!;
        }
        j = end;
      }
      panels.push(panel);
    }
    return new SymmetricMatrix(size, panels);
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

  /** For j <= i. */
  #lowerAt(i: number, j: number): number {
    const first = j - (j % PANEL_SIZE);
    const width = Math.min(PANEL_SIZE, this.size - first);
    return this.#panels[first / PANEL_SIZE]![(i - first) * width + j - first]!;
  }
}
