import assert from "node:assert";
import { invertGram } from "./gram.ts";
import { inverseFactor, takeRows, transpose } from "../linear/matrix.ts";
import type { Matrix } from "../linear/matrix.ts";
import type { MatrixProducts } from "../linear/matrix-products.ts";
import type { Comoment } from "../calibration/statistics.ts";
import { SymmetricMatrix } from "../linear/symmetric-matrix.ts";

/** Of W over the columns that remain, and of the inverse of their damped Gram matrix H. */
interface Fit {
  /** The column at each place. */
  readonly ids: readonly number[];
  /** H⁻¹, by place. */
  readonly inverse: SymmetricMatrix;
  /** Wᵀ, refitted. Shape `[ids.length, numRows]`. */
  readonly columns: Matrix;
}

/**
 * What removing columns R takes off the others: C Cᵀ off H⁻¹ and C Uᵀ off Wᵀ. Both matrices may have the other
 * sign.
 */
export interface Removal {
  /** C = H⁻¹[:, R] L⁻ᵀ with L Lᵀ = H⁻¹[R, R]. Shape `[size, R.length]`. */
  readonly cross: Matrix;
  /** U = W[:, R] L⁻ᵀ: the error rises by its squares. Shape `[numRows, R.length]`. */
  readonly weights: Matrix;
}

/**
 * The optimal brain surgeon for whole columns: knows what removing some of a matrix's columns costs when those
 * that stay are refitted, and does it. Nothing in it changes; a removal makes another one.
 */
export class Surgeon implements Fit {
  readonly products: MatrixProducts;
  readonly ids: readonly number[];
  readonly inverse: SymmetricMatrix;
  readonly columns: Matrix;

  private constructor(products: MatrixProducts, { ids, inverse, columns }: Fit) {
    this.products = products;
    this.ids = ids;
    this.inverse = inverse;
    this.columns = columns;
  }

  /**
   * @param matrix W, shape `[numRows, size]`, row-major
   * @param ridge damping as a fraction of the Gram matrix's typical diagonal
   * @returns null where the Gram matrix has no positive definite form.
   */
  static async create(
    products: MatrixProducts,
    matrix: Float32Array,
    comoment: Comoment,
    ridge: number,
  ): Promise<Surgeon | null> {
    const size = comoment.mean.length;
    const ids = Array.from({ length: size }, (_, j) => j);
    const inverted = await invertGram(products, comoment, ids, ridge);
    if (!inverted) return null;
    const data = new Float64Array(matrix);
    const columns = transpose({ data, rows: data.length / size, columns: size });
    const inverse = SymmetricMatrix.from(inverted.inverse);
    return new Surgeon(products, { ids, inverse, columns });
  }

  placesOf(ids: readonly number[]): number[] {
    return ids.map((id) => this.ids.indexOf(id));
  }

  /** By how much the error rises when columns go together. */
  async lossOf(ids: readonly number[]): Promise<number> {
    const places = this.placesOf(ids);
    const inverse = invertedFactor(this.inverse.square(places));
    const weights = await this.products.subtract(this.weightsAt(places), inverse);
    return weights.data.reduce((sum, value) => sum + value * value, 0);
  }

  async remove(ids: readonly number[]): Promise<Surgeon> {
    const places = this.placesOf(ids);
    const columns = this.inverse.columns(places);
    return this.subtract(places, await this.removal(places, columns, this.weightsAt(places)));
  }

  /** Columns of W. Shape `[numRows, places.length]`. */
  weightsAt(places: readonly number[]): Matrix {
    return transpose(takeRows(this.columns, places));
  }

  /**
   * @param columns H⁻¹[:, places]
   * @param weights W[:, places]
   */
  async removal(places: readonly number[], columns: Matrix, weights: Matrix): Promise<Removal> {
    const inverse = invertedFactor(takeRows(columns, places));
    return {
      cross: await this.products.subtract(columns, inverse),
      weights: await this.products.subtract(weights, inverse),
    };
  }

  /** @param places of all the columns that the removal is about */
  async subtract(places: readonly number[], { cross, weights }: Removal): Promise<Surgeon> {
    const gone = new Set(places);
    const left = this.ids.map((_, place) => place).filter((place) => !gone.has(place));
    const leftCross = takeRows(cross, left);
    return new Surgeon(this.products, {
      ids: left.map((place) => this.ids[place]!),
      inverse: await this.inverse.select(left).subtractSquare(this.products, leftCross),
      columns: await this.products.subtract(leftCross, weights, takeRows(this.columns, left)),
    });
  }
}

function invertedFactor(square: Matrix): Matrix {
  const inverse = inverseFactor(square);
  assert(inverse, "The inverse of a positive definite matrix stays one.");
  return inverse;
}
