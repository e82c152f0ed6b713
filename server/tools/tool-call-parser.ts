import { startedLength } from "../text/started-length.ts";
import type { ToolPiece, ToolPieceParser } from "./tool-call-format.ts";
import { callEnd, callStart, readCallHead } from "./tool-call-text.ts";

export type { ToolPiece } from "./tool-call-format.ts";

/**
 * For the convention of Hermes: takes an answer apart, piece by piece, however it is split. Nothing of the tags gets into the text, nor blanks that
 * only lead to a call; what may become either is held back.
 */
export class ToolCallParser implements ToolPieceParser {
  #place: "start" | "plain" | "text" | "head" | "arguments";
  /** What has not been decided on yet. */
  #held = "";
  #hasCalled = false;

  /** @param isFormed text has a form, in which a tag means nothing: calls come instead of it, from the start */
  constructor(isFormed = false) {
    this.#place = isFormed ? "start" : "text";
  }

  push(text: string): ToolPiece[] {
    this.#held += text;
    const pieces: ToolPiece[] = [];
    for (let hasMore = true; hasMore;) hasMore = this.#step(pieces);
    return pieces;
  }

  /** The answer ends here: a tag that was begun stays text, a call that was cut off stays cut off. */
  end(): ToolPiece[] {
    const text = this.#hasCalled ? this.#held.trimEnd() : this.#held;
    this.#held = "";
    const isText = ["start", "plain", "text"].includes(this.#place);
    return isText && text !== "" ? [{ kind: "text", text }] : [];
  }

  /** @returns whether there is more to look at */
  #step(pieces: ToolPiece[]): boolean {
    switch (this.#place) {
      case "start":
        if (this.#held.length < callStart.length && callStart.startsWith(this.#held)) return false;
        this.#place = this.#held.startsWith(callStart) ? "text" : "plain";
        return true;
      case "plain":
        if (this.#held !== "") pieces.push({ kind: "text", text: this.#held });
        this.#held = "";
        return false;
      case "text":
        return this.#until(callStart, "head", "text", pieces);
      case "arguments":
        return this.#until(callEnd, "text", "arguments", pieces);
      case "head": {
        const head = readCallHead(this.#held);
        if (head === null) return false;
        pieces.push({ kind: "call", name: head.name });
        this.#hasCalled = true;
        this.#held = head.rest;
        this.#place = "arguments";
        return true;
      }
    }
  }

  #until(
    tag: string,
    next: "head" | "text",
    kind: "text" | "arguments",
    pieces: ToolPiece[],
  ): boolean {
    const start = this.#held.indexOf(tag);
    const end = start < 0 ? this.#held.length - startedLength(this.#held, tag) : start;
    const before = this.#held.slice(0, end);
    const text = kind === "text" ? before.trimEnd() : before;
    if (text !== "") pieces.push({ kind, text });
    if (start < 0) {
      this.#held = this.#held.slice(text.length);
      return false;
    }
    this.#held = this.#held.slice(start + tag.length);
    this.#place = next;
    return true;
  }
}
