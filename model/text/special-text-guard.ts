import { PrefixTree } from "./prefix-tree.ts";

/**
 * Noncharacters, which text has no use for: the first announces that the second stands for a first
 * one in the original text, or the third for nothing.
 */
const escape = "\uFDD0";
const literal = "\uFDD1";
const nothing = "\uFDD2";

/**
 * Makes untrusted text harmless inside a rendered template: where it contains the text of a special
 * token, or begins or ends with part of one, an invisible break keeps that text from being read as
 * the token. Breaks stand beside visible characters only, so that trimming, comparing and testing for
 * emptiness go on as before.
 */
export class SpecialTextGuard {
  readonly #forward: Beginnings;
  readonly #backward: Beginnings;

  /** @param contents of special tokens, each at least two characters long */
  constructor(contents: readonly string[]) {
    this.#forward = new Beginnings(contents);
    this.#backward = new Beginnings(
      contents.map((content) => content.split("").reverse().join("")),
    );
  }

  /** A copy in which all strings, however deep, are safe to render. */
  protect(value: unknown): unknown {
    if (typeof value === "string") return this.#protectText(value);
    if (Array.isArray(value)) return value.map((item) => this.protect(item));
    if (typeof value !== "object" || value === null) return value;
    return Object.fromEntries(
      Object.entries(value).map(([key, item]) => [this.#protectText(key), this.protect(item)]),
    );
  }

  /** The text without breaks. */
  unprotect(text: string): string {
    return text.replace(/\uFDD0([\uFDD1\uFDD2]?)/g, (_, kind) => (kind === nothing ? "" : escape));
  }

  #protectText(text: string): string {
    if (text === "") return "";
    const unit = (index: number): number => text.charCodeAt(index);
    let safe = this.#isCompletedFrom(text) ? escape + nothing : "";
    let copied = 0;
    for (let i = 0; i < text.length; i++) {
      const opens = this.#forward.reach((offset) => unit(i + offset));
      // A whole token, or one that the text behind may complete.
      if (opens.isWhole || i + opens.length === text.length) {
        safe += text.slice(copied, i + 1).replaceAll(escape, escape + literal) + escape + nothing;
        copied = i + 1;
      }
    }
    return safe + text.slice(copied).replaceAll(escape, escape + literal);
  }

  /** The text before may be the start of a token that this text completes. */
  #isCompletedFrom(text: string): boolean {
    for (let end = 1; end <= Math.min(text.length, this.#backward.depth - 1); end++) {
      const { length } = this.#backward.reach((offset) =>
        offset < end ? text.charCodeAt(end - 1 - offset) : NaN,
      );
      if (length === end) return true;
    }
    return false;
  }
}

interface Reach {
  readonly length: number;
  readonly isWhole: boolean;
}

/** Strings that some text may begin with. */
class Beginnings {
  readonly #tree = new PrefixTree<true>();
  /** Length of the longest string. */
  readonly depth: number;

  constructor(strings: readonly string[]) {
    this.depth = strings.reduce((longest, string) => Math.max(longest, string.length), 0);
    for (const string of strings) this.#tree.add(string, true);
  }

  /** How many of the units lead along a string, and whether a whole string was passed. */
  reach(unit: (offset: number) => number): Reach {
    let node = this.#tree.root;
    let isWhole = false;
    let length = 0;
    for (;;) {
      const child = node.children.get(unit(length));
      if (child === undefined) return { length, isWhole };
      node = child;
      length++;
      isWhole ||= node.value !== null;
    }
  }
}
