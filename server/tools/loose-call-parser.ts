import type { ToolPiece, ToolPieceParser } from "./tool-call-format.ts";

/** Of a call as models write it that do not keep to the tags: Qwen's coders in a block of code, others bare. */
const callPattern =
  /^\s*(?:```(?:json)?\s*)?\{\s*"name"\s*:\s*"([^"\\]*)"\s*,\s*"(?:arguments|parameters)"\s*:\s*(?=\{)/;

/** Every beginning of what the pattern takes. */
const prefixPattern =
  /^\s*(?:`{1,3}(?:j(?:s(?:on?)?)?)?\s*)?(?:\{\s*(?:"(?:n(?:a(?:m(?:e(?:"\s*(?::\s*(?:"(?:[^"\\]*(?:"\s*(?:,\s*(?:"(?:[a-z]*(?:"\s*(?::\s*)?)?)?)?)?)?)?)?)?)?)?)?)?)?)?)?$/;

/** Of what leads to a call's arguments. */
const maxHead = 1000;
/** More is no call that anybody wants to wait for. */
const maxHeld = 200_000;

/**
 * Takes calls at the beginning of an answer that stand there without the tags of `callText`: whole ones, of tools that
 * there are, are told as calls when they are complete. Everything else is text.
 */
export class LooseCallParser implements ToolPieceParser {
  readonly #names: ReadonlySet<string>;
  readonly #isParallel: boolean;
  #held = "";
  #isText = false;
  #numCalls = 0;
  /** Of the call whose arguments are being read. */
  #scan: { readonly name: string; readonly object: ObjectScan } | null = null;

  constructor(names: readonly string[], isParallel: boolean) {
    this.#names = new Set(names);
    this.#isParallel = isParallel;
  }

  /** @returns calls, and text that is none */
  push(text: string): ToolPiece[] {
    if (this.#isText) return text === "" ? [] : [{ kind: "text", text }];
    this.#held += text;
    return this.#take(false);
  }

  /** The answer ends here. */
  end(): ToolPiece[] {
    return this.#isText ? [] : this.#take(true);
  }

  #take(isEnd: boolean): ToolPiece[] {
    const pieces: ToolPiece[] = [];
    for (;;) {
      // Between calls there are blanks, and after them the end of a block.
      if (this.#numCalls > 0 && this.#scan === null) {
        this.#held = this.#held.replace(/^[\s;,`]+/, "");
      }
      const call = this.#readCall();
      if (typeof call === "object") {
        this.#held = this.#held.slice(call.end).replace(/^\s*\}/, "");
        this.#scan = null;
        if (this.#numCalls === 0 || this.#isParallel) {
          pieces.push(
            { kind: "call", name: call.name },
            { kind: "arguments", text: call.argumentsText },
          );
        }
        this.#numCalls += 1;
        continue;
      }
      if (!isEnd && call === "open" && this.#held.length < maxHeld) return pieces;
      if (this.#held !== "") pieces.push({ kind: "text", text: this.#held });
      this.#held = "";
      this.#isText = true;
      return pieces;
    }
  }

  /** @returns the call at the beginning, "open" where there may be one yet, "none" where there is none */
  #readCall(): WholeCall | "open" | "none" {
    if (this.#scan === null) {
      const match = this.#held.length > maxHeld ? null : callPattern.exec(this.#held);
      if (match === null) {
        return this.#held.length < maxHead && prefixPattern.test(this.#held) ? "open" : "none";
      }
      const [head, name = ""] = match;
      if (!this.#names.has(name)) return "none";
      this.#scan = { name, object: new ObjectScan(head.length) };
    }
    const { name, object } = this.#scan;
    const end = object.find(this.#held);
    if (end === null) return "open";
    const argumentsText = this.#held.slice(object.start, end);
    const rest = this.#held.slice(end).trimStart();
    // The call's own object must be closed too.
    if (rest === "") return "open";
    if (!rest.startsWith("}") || !isJson(argumentsText)) return "none";
    return { name, argumentsText, end };
  }
}

interface WholeCall {
  readonly name: string;
  /** JSON. */
  readonly argumentsText: string;
  /** Of the arguments in what is held. */
  readonly end: number;
}

/** Looks for the end of a JSON object in a text that grows, each character once. */
class ObjectScan {
  readonly start: number;
  #at: number;
  #depth = 0;
  #isString = false;
  #end: number | null = null;

  constructor(start: number) {
    this.start = start;
    this.#at = start;
  }

  /** @returns where it ends, null where it does not yet */
  find(text: string): number | null {
    while (this.#end === null && this.#at < text.length) {
      const character = text[this.#at]!;
      if (this.#isString) {
        if (character === "\\") {
          if (this.#at + 1 >= text.length) return null;
          this.#at += 1;
        } else if (character === '"') this.#isString = false;
      } else if (character === '"') this.#isString = true;
      else if (character === "{" || character === "[") this.#depth += 1;
      else if (character === "}" || character === "]") this.#depth -= 1;
      this.#at += 1;
      if (this.#depth === 0) this.#end = this.#at;
    }
    return this.#end;
  }
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
