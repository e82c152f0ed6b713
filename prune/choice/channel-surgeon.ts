import { setBlock, takeRows, transpose, zeros } from "../linear/matrix.ts";
import type { Matrix } from "../linear/matrix.ts";
import type { Removal, Surgeon } from "./surgeon.ts";

/** Channels that may be gone before what they take off the rest is subtracted in bulk. */
const MAX_PENDING = 128;

/** Channels gone from a surgeon that has not yet subtracted them. */
interface Pending {
  /** Places. */
  readonly gone: Set<number>;
  /** One after the other, and 0 beyond them. */
  readonly removal: Removal;
  /** Transposed weights of the removal. */
  readonly weightRows: Matrix;
  /** Of H⁻¹ now, by place. */
  readonly diagonal: Float64Array;
  /** Squared norms of W's columns now, by place. */
  readonly norms: Float64Array;
}

/**
 * Removes channels in small batches. A {@link Surgeon} subtracts many of them at once; until it does, only what the
 * next choice needs is kept up to date.
 */
export class ChannelSurgeon {
  #surgeon: Surgeon;
  #pending: Pending;

  constructor(surgeon: Surgeon) {
    this.#surgeon = surgeon;
    this.#pending = nothingPending(surgeon, MAX_PENDING);
  }

  /** The channels that, each alone, raise the error least: ‖W[:, j]‖² / (H⁻¹)[j, j]; the lowest first. */
  cheapest(count: number): number[] {
    const { gone, norms, diagonal } = this.#pending;
    const scores = norms.map((norm, at) => (gone.has(at) ? Infinity : norm / diagonal[at]!));
    const highest = scores.slice().sort()[count - 1]!;
    return this.#surgeon.ids
      .map((id, place) => ({ id, place, score: scores[place]! }))
      .filter(({ place, score }) => !(score > highest) && !gone.has(place))
      .sort((a, b) => a.score - b.score || a.id - b.id)
      .slice(0, count)
      .map(({ id }) => id);
  }

  /**
   * Removes channels and refits the rest.
   * @returns by how much the error rises with each, after those before it.
   */
  async remove(ids: readonly number[]): Promise<number[]> {
    const { gone, removal } = this.#pending;
    if (gone.size + ids.length > removal.cross.columns) {
      this.#surgeon = await this.#surgeon.subtract([...gone], removal);
      this.#pending = nothingPending(this.#surgeon, Math.max(MAX_PENDING, ids.length));
    }
    const places = this.#surgeon.placesOf(ids);
    const added = await this.#removalOf(places);
    const rows = transpose(added.weights);
    await this.#add(places, added, rows);
    return ids.map((_, at) => squaredNorm(rows, at));
  }

  /** From what H⁻¹ and W are now. */
  async #removalOf(places: readonly number[]): Promise<Removal> {
    const { products, inverse } = this.#surgeon;
    const { cross, weights } = this.#pending.removal;
    const rows = takeRows(cross, places);
    const columns = await products.subtract(cross, rows, inverse.columns(places));
    const current = await products.subtract(weights, rows, this.#surgeon.weightsAt(places));
    return this.#surgeon.removal(places, columns, current);
  }

  async #add(places: readonly number[], added: Removal, addedRows: Matrix): Promise<void> {
    const { products, columns } = this.#surgeon;
    const { gone, removal, weightRows, diagonal, norms } = this.#pending;
    // Of a column w now, with row c of C: ‖w - U c‖² = ‖w‖² - 2 c·(Uᵀ w - ½ Uᵀ U c).
    const pendingDots = await products.subtract(weightRows, addedRows);
    const baseDots = await products.subtract(columns, addedRows);
    const minusDots = await products.subtract(removal.cross, transpose(pendingDots), baseDots);
    const squares = await products.subtract(addedRows, addedRows);
    const minusHalf = { ...squares, data: squares.data.map((value) => value / 2) };
    const change = await products.subtract(added.cross, minusHalf, minusDots);
    for (let place = 0, at = 0; place < norms.length; place++) {
      for (let k = 0; k < added.cross.columns; k++, at++) {
        const value = added.cross.data[at]!;
        diagonal[place]! -= value * value;
        norms[place]! += 2 * value * change.data[at]!;
      }
    }
    setBlock(removal.cross, [0, gone.size], added.cross);
    setBlock(removal.weights, [0, gone.size], added.weights);
    weightRows.data.set(addedRows.data, gone.size * addedRows.columns);
    for (const place of places) gone.add(place);
  }
}

function nothingPending({ ids, inverse, columns }: Surgeon, capacity: number): Pending {
  const numRows = columns.columns;
  return {
    gone: new Set(),
    removal: { cross: zeros(ids.length, capacity), weights: zeros(numRows, capacity) },
    weightRows: zeros(capacity, numRows),
    diagonal: Float64Array.from(ids, (_, place) => inverse.at(place, place)),
    norms: Float64Array.from(ids, (_, place) => squaredNorm(columns, place)),
  };
}

/** Squared length of a row. */
function squaredNorm({ data, columns }: Matrix, row: number): number {
  let sum = 0;
  for (let at = row * columns; at < (row + 1) * columns; at++) sum += data[at]! * data[at]!;
  return sum;
}
