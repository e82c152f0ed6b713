import type { ToolCallFormat, ToolPiece, ToolPieceParser } from "./tool-call-format.ts";
import { JsonEnd } from "./json-end.ts";

interface Beginning {
  readonly text: string;
  readonly name: string;
}

/** For forms in which calls are all of an answer: one that begins in any other way than a call of a tool, blanks aside, is text. */
export class LlamaCallParser implements ToolPieceParser {
  #place: "start" | "plain" | "arguments" | "between" = "start";
  /** What has not been decided on yet. */
  #held = "";
  #json = new JsonEnd();
  readonly #first: readonly Beginning[];
  readonly #next: readonly Beginning[];

  /** @param names of the tools */
  constructor(
    { starts, head, end, between }: Pick<ToolCallFormat, "starts" | "head" | "end" | "between">,
    names: readonly string[],
  ) {
    const behind = (start: string): Beginning[] =>
      names.map((name) => ({ text: start + head(name), name }));
    this.#first = starts.flatMap(behind);
    this.#next = behind(end + between + starts[0]);
  }

  push(text: string): ToolPiece[] {
    this.#held += text;
    const pieces: ToolPiece[] = [];
    for (let hasMore = true; hasMore;) hasMore = this.#step(pieces);
    return pieces;
  }

  end(): ToolPiece[] {
    const text = this.#held;
    this.#held = "";
    return this.#place === "start" && text !== "" ? [{ kind: "text", text }] : [];
  }

  /** @returns whether there is more to look at */
  #step(pieces: ToolPiece[]): boolean {
    switch (this.#place) {
      case "start":
        return this.#begin(this.#first, this.#held.replace(/^[\t\n\r ]+/, ""), pieces);
      case "between":
        return this.#begin(this.#next, this.#held, pieces);
      case "plain":
        if (this.#held !== "") pieces.push({ kind: "text", text: this.#held });
        this.#held = "";
        return false;
      case "arguments": {
        const end = this.#json.find(this.#held);
        const text = this.#held.slice(0, end ?? undefined);
        if (text !== "") pieces.push({ kind: "arguments", text });
        this.#held = this.#held.slice(text.length);
        if (end === null) return false;
        this.#place = "between";
        return true;
      }
    }
  }

  #begin(beginnings: readonly Beginning[], held: string, pieces: ToolPiece[]): boolean {
    const begun = beginnings.find(({ text }) => held.startsWith(text));
    if (begun !== undefined) {
      pieces.push({ kind: "call", name: begun.name });
      this.#held = held.slice(begun.text.length);
      this.#json = new JsonEnd();
      this.#place = "arguments";
      return true;
    }
    if (beginnings.some(({ text }) => text.startsWith(held))) return false;
    this.#place = "plain";
    return true;
  }
}
