import type { TokenTable } from "../../model/token-table.ts";
import type { Position, Positions } from "./positions.ts";

/** The bytes of all tokens as a tree, so that what many begin with is looked at once. */
export class TokenTrie {
  readonly #vocabSize: number;
  readonly #eosTokenIds: readonly number[];
  /** Nodes in depth-first order: each has a byte, its depth, and where the first node is that is not below it. */
  readonly #bytes: Uint8Array;
  readonly #depths: Uint16Array;
  readonly #skips: Int32Array;
  /** Tokens that end at node `i` are `ids[starts[i] .. starts[i + 1])`. */
  readonly #starts: Int32Array;
  readonly #ids: Int32Array;
  /** Scratch: the position at each depth. */
  readonly #path: Position[] = [];

  /** @param vocabSize of the logits, at least that of the table */
  constructor({ bytes, offsets, eosTokenIds }: TokenTable, vocabSize: number) {
    this.#vocabSize = vocabSize;
    this.#eosTokenIds = eosTokenIds;
    const bytesOf = (id: number) => bytes.subarray(offsets[id], offsets[id + 1]);
    // Control tokens have no bytes.
    const ids = Array.from({ length: offsets.length - 1 }, (_, id) => id)
      .filter((id) => bytesOf(id).length > 0)
      .sort((a, b) => Buffer.compare(bytesOf(a), bytesOf(b)) || a - b);
    const nodes: { byte: number; depth: number; skip: number; start: number }[] = [];
    const open: number[] = [];
    let before: Uint8Array = new Uint8Array();
    for (const [i, id] of ids.entries()) {
      const token = bytesOf(id);
      let common = 0;
      while (common < before.length && before[common] === token[common]) common++;
      for (const node of open.splice(common)) nodes[node]!.skip = nodes.length;
      for (let depth = common; depth < token.length; depth++) {
        open.push(nodes.length);
        nodes.push({ byte: token[depth]!, depth, skip: 0, start: i });
      }
      before = token;
    }
    for (const node of open) nodes[node]!.skip = nodes.length;
    this.#bytes = Uint8Array.from(nodes, ({ byte }) => byte);
    this.#depths = Uint16Array.from(nodes, ({ depth }) => depth);
    this.#skips = Int32Array.from(nodes, ({ skip }) => skip);
    this.#starts = Int32Array.from([...nodes.map(({ start }) => start), ids.length]);
    this.#ids = Int32Array.from(ids);
  }

  /** Bit `i % 32` of element `i / 32` is set where token `i` may come next. */
  mask(position: Position, positions: Positions): Int32Array {
    const mask = new Int32Array(Math.ceil(this.#vocabSize / 32));
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
    for (let node = 0; node < bytes.length;) {
      const depth = depths[node]!;
      const from = path[depth]!;
      const known = from.next[bytes[node]!];
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
    return mask;
  }
}
