import type { TokenTable } from "../../model/text/token-table.ts";
import type { Position, Positions } from "./positions.ts";
import { type TokenMask, toTokenMask } from "./token-mask.ts";

/** The bytes of all tokens as a tree, so that what many begin with is looked at once. */
export class TokenTrie {
  readonly #eosTokenIds: readonly number[];
  /** Nodes in depth-first order: each has a byte, its depth, and where the first node is that is not below it. */
  readonly #bytes: Uint8Array;
  readonly #depths: Uint16Array;
  readonly #skips: Int32Array;
  /** Tokens that end at node `i` are `ids[starts[i] .. starts[i + 1])`. */
  readonly #starts: Int32Array;
  readonly #ids: Int32Array;
  readonly #numNodes: number;
  /** Scratch: the position at each depth, and the mask that is being made. */
  readonly #path: Position[] = [];
  readonly #mask: Int32Array;

  /** @param vocabSize of the logits, at least that of the table */
  constructor({ bytes, offsets, eosTokenIds }: TokenTable, vocabSize: number) {
    this.#mask = new Int32Array(Math.ceil(vocabSize / 32));
    this.#eosTokenIds = eosTokenIds;
    // One character for each byte, in the same order. Control tokens have none.
    const texts = Array.from({ length: offsets.length - 1 }, (_, id) =>
      Buffer.from(
        bytes.buffer,
        bytes.byteOffset + offsets[id]!,
        offsets[id + 1]! - offsets[id]!,
      ).toString("latin1"),
    );
    const ids = [...texts.keys()]
      .filter((id) => texts[id] !== "")
      .sort((a, b) => (texts[a]! < texts[b]! ? -1 : texts[a]! > texts[b]! ? 1 : a - b));
    this.#bytes = new Uint8Array(bytes.length);
    this.#depths = new Uint16Array(bytes.length);
    this.#skips = new Int32Array(bytes.length);
    this.#starts = new Int32Array(bytes.length + 1);
    this.#ids = Int32Array.from(ids);
    let numNodes = 0;
    /** Nodes from the root to the token before. */
    const open: number[] = [];
    let before = "";
    const close = (depth: number) => {
      while (open.length > depth) this.#skips[open.pop()!] = numNodes;
    };
    for (const [i, id] of ids.entries()) {
      const text = texts[id]!;
      let common = 0;
      while (common < before.length && before[common] === text[common]) common++;
      close(common);
      for (let depth = common; depth < text.length; depth++) {
        this.#bytes[numNodes] = text.charCodeAt(depth);
        this.#depths[numNodes] = depth;
        this.#starts[numNodes] = i;
        open.push(numNodes++);
      }
      before = text;
    }
    close(0);
    this.#starts[numNodes] = ids.length;
    this.#numNodes = numNodes;
  }

  /** Words of a mask as bits. */
  get maskLength(): number {
    return this.#mask.length;
  }

  /** @throws GrammarError when the grammar leaves too many ways open */
  mask(position: Position, positions: Positions): TokenMask {
    const mask = this.#mask.fill(0);
    const set = (id: number) => (mask[id >>> 5]! |= 1 << (id & 31));
    if (position.isEnd) for (const id of this.#eosTokenIds) set(id);
    const path = this.#path;
    path[0] = position;
    const [bytes, depths, skips, starts, ids] = [
      this.#bytes,
      this.#depths,
      this.#skips,
      this.#starts,
      this.#ids,
    ];
    for (let node = 0; node < this.#numNodes;) {
      const depth = depths[node]!;
      const from = path[depth]!;
      const known = from.next[from.classes[bytes[node]!]!];
      const next = known === undefined ? positions.step(from, bytes[node]!) : known;
      if (next === null) {
        node = skips[node]!;
        continue;
      }
      path[depth + 1] = next;
      const last = starts[node + 1]!;
      for (let i = starts[node]!; i < last; i++) set(ids[i]!);
      node++;
    }
    path.length = 0;
    return toTokenMask(mask);
  }
}
