import { buildAutomaton } from "../../engine/grammar/automaton.ts";
import type { Grammar } from "../../engine/grammar/grammar.ts";
import { Grammars } from "../../engine/grammar/grammars.ts";
import type { TokenTable } from "../../model/text/token-table.ts";

/** Single bytes, and some longer tokens. */
function byteTable(): TokenTable {
  const texts = ['": ', '", "', "é", "😀", "12", "true", '"}', "nul", "\\u00"];
  const chunks = [
    ...Array.from({ length: 256 }, (_, byte) => Buffer.of(byte)),
    ...texts.map((text) => Buffer.from(text)),
    Buffer.alloc(0),
  ];
  const offsets = new Uint32Array(chunks.length + 1);
  for (const [id, chunk] of chunks.entries()) offsets[id + 1] = offsets[id]! + chunk.length;
  return {
    bytes: new Uint8Array(Buffer.concat(chunks)),
    offsets,
    control: new Uint8Array(chunks.length),
    controlTexts: new Map(),
    eosTokenIds: [chunks.length - 1],
  };
}

const table = byteTable();
const grammars = new Grammars(table, table.offsets.length - 1);

/** A text of random tokens that the grammar allows; null when it does not come to an end soon. */
export function randomText(grammar: Grammar, seed: number): Buffer | null {
  const matcher = grammars.open(buildAutomaton(grammar));
  const bytes: number[] = [];
  let state = seed + 1;
  for (let i = 0; i < 400; i++) {
    const mask = matcher.mask();
    const ids = [...table.offsets.keys()].filter(
      (id) => ((mask[id >> 5]! >>> (id & 31)) & 1) === 1,
    );
    if (ids.length === 0) throw new Error(`nothing may follow ${Buffer.from(bytes).toString()}`);
    const closing = ids.filter((id) => '"}],'.includes(String.fromCharCode(id)));
    state = (Math.imul(state, 0x5bd1e995) + 0x9e3779b9) | 0;
    const pool = i > 40 && closing.length > 0 && (state & 0x300) !== 0 ? closing : ids;
    const id = pool[(state >>> 10) % pool.length]!;
    if (table.eosTokenIds.includes(id)) return Buffer.from(bytes);
    matcher.accept(id);
    bytes.push(...table.bytes.subarray(table.offsets[id], table.offsets[id + 1]));
  }
  return null;
}
