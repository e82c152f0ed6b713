import { LooseCallParser } from "./loose-call-parser.ts";
import { startedLength } from "../text/started-length.ts";
import type { ToolPiece, ToolPieceParser } from "./tool-call-format.ts";
import { callEnd, callStart, readCallHead } from "./tool-call-text.ts";

export interface CallOptions {
  /**
   * Text has a form, in which a tag means nothing: calls come instead of it, from the start.
   * @default false
   */
  readonly isFormed?: boolean;
  /** Of the tools: calls of them that stand at the beginning without tags are taken too. @default none are */
  readonly names?: readonly string[];
  /** Of those without tags more than one may be made. @default true */
  readonly isParallel?: boolean;
}

/**
 * For the convention of Hermes: takes an answer apart, piece by piece, however it is split. Nothing of the tags gets into the text, nor blanks that
 * only lead to a call; what may become either is held back.
 */
export class ToolCallParser implements ToolPieceParser {
  readonly #loose: LooseCallParser | null;
  #place: "start" | "plain" | "text" | "head" | "arguments";
  /** What has not been decided on yet. */
  #held = "";
  #hasCalled = false;

  constructor({ isFormed = false, names = [], isParallel = true }: CallOptions = {}) {
    this.#place = isFormed ? "start" : "text";
    this.#loose = isFormed || names.length === 0 ? null : new LooseCallParser(names, isParallel);
  }

  push(text: string): ToolPiece[] {
    if (this.#loose === null) return this.#push(text);
    return this.#loose.push(text).flatMap((piece) => this.#pass(piece));
  }

  /** What is a call without tags already, and other text. */
  #pass(piece: ToolPiece): ToolPiece[] {
    if (piece.kind === "text") return this.#push(piece.text);
    this.#hasCalled = true;
    return [piece];
  }

  #push(text: string): ToolPiece[] {
    this.#held += text;
    const pieces: ToolPiece[] = [];
    for (let hasMore = true; hasMore;) hasMore = this.#step(pieces);
    return pieces;
  }

  /** The answer ends here: a tag that was begun stays text, a call that was cut off stays cut off. */
  end(): ToolPiece[] {
    const last = this.#loose?.end().flatMap((piece) => this.#pass(piece)) ?? [];
    return [...last, ...this.#end()];
  }

  #end(): ToolPiece[] {
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
