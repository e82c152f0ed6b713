/** Finds the end of a JSON object that comes piece by piece. */
export class JsonEnd {
  #depth = 0;
  #isString = false;
  #isEscaped = false;

  /** @returns the place behind the object in the next piece; null while it goes on */
  find(piece: string): number | null {
    for (let i = 0; i < piece.length; i++) {
      if (this.#isEnd(piece[i]!)) return i + 1;
    }
    return null;
  }

  #isEnd(character: string): boolean {
    if (this.#isEscaped) {
      this.#isEscaped = false;
    } else if (this.#isString) {
      if (character === "\\") this.#isEscaped = true;
      if (character === '"') this.#isString = false;
    } else if (character === '"') {
      this.#isString = true;
    } else if (character === "{") {
      this.#depth++;
    } else if (character === "}") {
      return --this.#depth === 0;
    }
    return false;
  }
}
