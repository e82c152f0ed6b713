import { PrefixTree, type PrefixNode } from "./prefix-tree.ts";

/** A token that is found in the text as it stands, before any other rule applies. */
export interface AddedToken {
  readonly id: number;
  readonly content: string;
  /** Steers the model and adds no text: only trusted text may contain it. */
  readonly control: boolean;
  /** Swallows white space before it. */
  readonly lstrip: boolean;
  /** Swallows white space after it. */
  readonly rstrip: boolean;
}

/** Cuts text at added tokens: leftmost first, the longest where several start at one place. */
export class AddedTokens {
  readonly #all = new PrefixTree<AddedToken>();
  readonly #textual = new PrefixTree<AddedToken>();

  constructor(tokens: readonly AddedToken[]) {
    for (const token of tokens) {
      if (token.content === "") continue;
      this.#all.add(token.content, token);
      if (!token.control) this.#textual.add(token.content, token);
    }
  }

  /** Plain text and token ids in order; control tokens are plain text unless `parseControl`. */
  split(text: string, parseControl: boolean): (string | number)[] {
    const { root } = parseControl ? this.#all : this.#textual;
    const parts: (string | number)[] = [];
    let start = 0;
    let i = 0;
    while (i < text.length) {
      const token = longestMatch(root, text, i);
      if (token === null) {
        i++;
        continue;
      }
      const before = text.slice(start, i);
      pushText(parts, token.lstrip ? before.trimEnd() : before);
      parts.push(token.id);
      i += token.content.length;
      if (token.rstrip) while (i < text.length && /\s/.test(text[i]!)) i++;
      start = i;
    }
    pushText(parts, text.slice(start));
    return parts;
  }
}

function longestMatch(
  root: PrefixNode<AddedToken>,
  text: string,
  start: number,
): AddedToken | null {
  let match: AddedToken | null = null;
  let node = root.children.get(text.charCodeAt(start));
  for (let i = start + 1; node !== undefined; i++) {
    match = node.value ?? match;
    if (i >= text.length) break;
    node = node.children.get(text.charCodeAt(i));
  }
  return match;
}

function pushText(parts: (string | number)[], text: string): void {
  if (text !== "") parts.push(text);
}
