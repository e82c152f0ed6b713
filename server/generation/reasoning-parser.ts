const openTag = "<think>";
const closeTag = "</think>";

/** Of an answer of a model that thinks: what it thinks, and what it says. */
export interface ReasoningPiece {
  readonly kind: "reasoning" | "answer";
  readonly text: string;
}

/** A template that shows thoughts is of a model that writes them. */
export function templateThinks(template: string): boolean {
  return template.includes(closeTag);
}

/** @param ending of a rendered prompt: whether the answer goes on with thoughts that it has begun */
export function opensReasoning(ending: string): boolean {
  return ending.trimEnd().endsWith(openTag);
}

/**
 * Takes an answer apart, however it is split: thoughts stand between tags at its beginning. The tags and the blanks
 * beside them are in neither part; what may become one of them is held back. Thoughts that never end are thoughts.
 */
export class ReasoningParser {
  #place: "start" | "reasoning" | "gap" | "answer";
  #held = "";

  /** @param isOpen the prompt has begun the thoughts */
  constructor(isOpen: boolean) {
    this.#place = isOpen ? "reasoning" : "start";
  }

  /** Thoughts are being written. */
  get isReasoning(): boolean {
    return this.#place === "reasoning";
  }

  push(text: string): ReasoningPiece[] {
    this.#held += text;
    const pieces: ReasoningPiece[] = [];
    for (let hasMore = true; hasMore;) hasMore = this.#step(pieces);
    return pieces;
  }

  /** The answer ends here. */
  end(): ReasoningPiece[] {
    const text = this.#held;
    this.#held = "";
    if (this.#place === "reasoning") return piece("reasoning", text.trimEnd());
    return this.#place === "gap" ? [] : piece("answer", text);
  }

  /** @returns whether there is more to look at */
  #step(pieces: ReasoningPiece[]): boolean {
    switch (this.#place) {
      case "start": {
        const text = this.#held.trimStart();
        if (text.startsWith(openTag)) {
          this.#held = text.slice(openTag.length);
          this.#place = "reasoning";
          return true;
        }
        if (openTag.startsWith(text)) return false;
        this.#place = "answer";
        return true;
      }
      case "reasoning": {
        const end = this.#held.indexOf(closeTag);
        const safe = end < 0 ? settledLength(this.#held) : end;
        const text = this.#held.slice(0, safe);
        pieces.push(
          ...piece("reasoning", this.#began ? trimmed(text, end) : trimmed(text.trimStart(), end)),
        );
        if (text.trim() !== "") this.#began = true;
        this.#held = end < 0 ? this.#held.slice(safe) : this.#held.slice(end + closeTag.length);
        if (end < 0) return false;
        this.#place = "gap";
        return true;
      }
      case "gap":
        this.#held = this.#held.trimStart();
        if (this.#held === "") return false;
        this.#place = "answer";
        return true;
      case "answer":
        pieces.push(...piece("answer", this.#held));
        this.#held = "";
        return false;
    }
  }

  /** Blanks before the first thought are none. */
  #began = false;
}

function piece(kind: ReasoningPiece["kind"], text: string): ReasoningPiece[] {
  return text === "" ? [] : [{ kind, text }];
}

/** Without the blanks before the closing tag, where that follows. */
function trimmed(text: string, end: number): string {
  return end < 0 ? text : text.trimEnd();
}

/** Length of a text without an ending that may lead to the closing tag: blanks, and the beginning of it. */
function settledLength(text: string): number {
  let start = text.length;
  for (let length = Math.min(closeTag.length - 1, text.length); length > 0; length--) {
    if (text.endsWith(closeTag.slice(0, length))) {
      start = text.length - length;
      break;
    }
  }
  return text.slice(0, start).trimEnd().length;
}
