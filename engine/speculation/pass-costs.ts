/** Weight of what was measured last. */
const freshness = 0.1;

/** What one row more costs where nothing is known, as a share of a pass of one: little, so that it is tried. */
const guessedShare = 0.1;

/** What decode passes take by the tokens in them, learned as they run. */
export class PassCosts {
  readonly #seconds: (number | undefined)[] = [];

  add(numRows: number, seconds: number): void {
    const known = this.#seconds[numRows];
    this.#seconds[numRows] = known === undefined ? seconds : known + freshness * (seconds - known);
  }

  /** @returns what a pass of more rows is likely to take as a multiple of one of `numRows` */
  ratio(numRows: number, moreRows: number): number {
    const [own, other] = [this.#seconds[numRows], this.#seconds[moreRows]];
    if (own !== undefined && other !== undefined) return other / own;
    // Between the sizes that are known and the one that is asked for, a row costs what it is guessed to.
    let [nearest, ratio] = [numRows, 1];
    for (let rows = numRows + 1; rows < moreRows && own !== undefined; rows++) {
      const seconds = this.#seconds[rows];
      if (seconds !== undefined) [nearest, ratio] = [rows, seconds / own];
    }
    return ratio + ((moreRows - nearest) * guessedShare) / numRows;
  }
}
