/** Rows of owner `i`, a number from 0 on, are `[starts[i], starts[i + 1])` of each column. */
export interface SortedLists {
  readonly starts: Uint32Array;
  readonly columns: readonly Uint32Array[];
}

/** A list of rows for each of many owners, filled in any order. */
export class Lists {
  readonly #owners: number[] = [];
  readonly #columns: readonly number[][];

  constructor(numColumns: number) {
    this.#columns = Array.from({ length: numColumns }, () => []);
  }

  get length(): number {
    return this.#owners.length;
  }

  /** @param first - in the first column, and so on; what there is no column for is left out */
  add(owner: number, first: number, second = 0, third = 0): void {
    this.#owners.push(owner);
    this.#columns[0]!.push(first);
    this.#columns[1]?.push(second);
    this.#columns[2]?.push(third);
  }

  sorted(numOwners: number): SortedLists {
    const starts = new Uint32Array(numOwners + 1);
    for (const owner of this.#owners) starts[owner + 1]!++;
    for (let owner = 0; owner < numOwners; owner++) starts[owner + 1]! += starts[owner]!;
    const free = starts.slice();
    const places = Uint32Array.from(this.#owners, (owner) => free[owner]!++);
    const columns = this.#columns.map((column) => {
      const sorted = new Uint32Array(column.length);
      for (const [row, value] of column.entries()) sorted[places[row]!] = value;
      return sorted;
    });
    return { starts, columns };
  }
}
