import { reasoningEnd, reasoningStart } from "../text/reasoning-tags.ts";
import { startedLength } from "../text/started-length.ts";

/** A piece of an answer of a model that thinks before it speaks. */
export interface ReasoningPiece {
  readonly kind: "reasoning" | "text";
  readonly text: string;
}

/**
 * Takes the reasoning off the beginning of an answer, piece by piece, however it is split. As in llama.cpp the blanks
 * around the tags belong to neither part, and a tag further on in the text is text.
 */
export class ReasoningParser {
  #place: "start" | "reasoning" | "break" | "text" = "start";
  /** No reasoning has been told yet. */
  #isFirst = true;
  readonly #isOpen: boolean;
  /** What has not been decided on yet. */
  #held = "";

  /** @param isOpen the prompt ends with the opening tag, which the model may write once more */
  constructor(isOpen: boolean) {
    this.#isOpen = isOpen;
  }

  /** What comes next is reasoning, as far as it is known. */
  get isReasoning(): boolean {
    return this.#place === "reasoning" || (this.#place === "start" && this.#isOpen);
  }

  /** The reasoning has ended, or there is none. */
  get isText(): boolean {
    return this.#place === "text";
  }

  push(text: string): ReasoningPiece[] {
    this.#held += text;
    const pieces: ReasoningPiece[] = [];
    for (let hasMore = true; hasMore;) hasMore = this.#step(pieces);
    return pieces;
  }

  /** The answer ends here: a tag that was begun is part of what it would have ended. */
  end(): ReasoningPiece[] {
    const kind = this.isReasoning ? "reasoning" : "text";
    const text = kind === "reasoning" ? this.#lastReasoning() : this.#held;
    this.#held = "";
    return text === "" ? [] : [{ kind, text }];
  }

  #lastReasoning(): string {
    return (this.#isFirst ? this.#held.trimStart() : this.#held).trimEnd();
  }

  /** @returns whether there is more to look at */
  #step(pieces: ReasoningPiece[]): boolean {
    switch (this.#place) {
      case "start": {
        const text = this.#held.trimStart();
        if (text.length < reasoningStart.length && reasoningStart.startsWith(text)) return false;
        if (text.startsWith(reasoningStart)) {
          this.#held = text.slice(reasoningStart.length);
          this.#place = "reasoning";
        } else {
          this.#place = this.#isOpen ? "reasoning" : "text";
        }
        return true;
      }
      case "reasoning":
        return this.#reason(pieces);
      case "break":
        this.#held = this.#held.trimStart();
        if (this.#held === "") return false;
        this.#place = "text";
        return true;
      case "text":
        if (this.#held !== "") pieces.push({ kind: "text", text: this.#held });
        this.#held = "";
        return false;
    }
  }

  #reason(pieces: ReasoningPiece[]): boolean {
    if (this.#isFirst) this.#held = this.#held.trimStart();
    const tag = this.#held.indexOf(reasoningEnd);
    const end = tag < 0 ? this.#held.length - startedLength(this.#held, reasoningEnd) : tag;
    const text = this.#held.slice(0, end).trimEnd();
    if (text !== "") {
      pieces.push({ kind: "reasoning", text });
      this.#isFirst = false;
    }
    if (tag < 0) {
      this.#held = this.#held.slice(text.length);
      return false;
    }
    this.#held = this.#held.slice(tag + reasoningEnd.length);
    this.#place = "break";
    return true;
  }
}
