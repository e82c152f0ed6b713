import test from "ava";
import fc from "fast-check";
import { Detokenizer } from "../../../engine/sequence/detokenizer.ts";
import type { TokenTable } from "../../../model/text/token-table.ts";

/** Token `i` has the bytes `tokens[i]`. */
function table(tokens: readonly (readonly number[])[]): TokenTable {
  const offsets = new Uint32Array(tokens.length + 1);
  for (const [id, bytes] of tokens.entries()) offsets[id + 1] = offsets[id]! + bytes.length;
  return {
    bytes: Uint8Array.from(tokens.flat()),
    offsets,
    control: new Uint8Array(tokens.length),
    controlTexts: new Map(),
    eosTokenIds: [],
  };
}

function pieces(tokens: readonly (readonly number[])[]): string[] {
  const detokenizer = new Detokenizer(table(tokens));
  return [...tokens.map((_, id) => detokenizer.push(id)), detokenizer.flush()];
}

function bytesOf(text: string): number[] {
  return [...Buffer.from(text)];
}

/** The replacement rule of the Unicode standard, written out: one U+FFFD per maximal broken part. */
function plainDecode(bytes: readonly number[]): string {
  let text = "";
  let i = 0;
  while (i < bytes.length) {
    const lead = bytes[i++]!;
    if (lead < 0x80) {
      text += String.fromCharCode(lead);
      continue;
    }
    let rest = 0;
    if (lead >= 0xc2 && lead <= 0xdf) rest = 1;
    else if (lead >= 0xe0 && lead <= 0xef) rest = 2;
    else if (lead >= 0xf0 && lead <= 0xf4) rest = 3;
    let low = lead === 0xe0 ? 0xa0 : lead === 0xf0 ? 0x90 : 0x80;
    let high = lead === 0xed ? 0x9f : lead === 0xf4 ? 0x8f : 0xbf;
    let code = lead & (0x3f >> rest);
    let complete = rest > 0;
    for (; rest > 0 && complete; rest--) {
      const byte = bytes[i];
      complete = byte !== undefined && byte >= low && byte <= high;
      if (!complete) break;
      code = (code << 6) | (byte! & 0x3f);
      [low, high] = [0x80, 0xbf];
      i++;
    }
    text += complete ? String.fromCodePoint(code) : "\uFFFD";
  }
  return text;
}

// Leads, continuations and the bytes at the edges of what may follow which.
const byte = fc.oneof(
  fc.constantFrom(0x20, 0x41, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbb, 0xbf, 0xc1, 0xc2, 0xe0, 0xe1),
  fc.constantFrom(0xed, 0xef, 0xf0, 0xf1, 0xf4, 0xf5, 0xff, 0x00),
);
const brokenTokens = fc.array(fc.array(byte, { maxLength: 5 }), { maxLength: 12 });
const textTokens = fc
  .tuple(fc.string({ unit: "grapheme" }), fc.infiniteStream(fc.integer({ min: 1, max: 4 })))
  .map(([text, lengths]) => {
    const bytes = bytesOf(text);
    const tokens: number[][] = [];
    for (const length of lengths) {
      if (bytes.length === 0) break;
      tokens.push(bytes.splice(0, length));
    }
    return tokens;
  });

test("joined pieces are the text of all bytes, however they are split into tokens", (t) => {
  t.notThrows(() =>
    fc.assert(
      fc.property(fc.oneof(brokenTokens, textTokens), (tokens) => {
        const text = pieces(tokens).join("");
        const whole = new TextDecoder("utf-8", { ignoreBOM: true });
        return (
          text === plainDecode(tokens.flat()) &&
          text === whole.decode(Uint8Array.from(tokens.flat()))
        );
      }),
      { numRuns: 2000 },
    ),
  );
});

test("text split into tokens never shows a replacement character (D01)", (t) => {
  const tokens = bytesOf("👨‍👩‍👧‍👦 한국어 🇫🇷 e\u0301").map((value) => [value]);
  t.false(pieces(tokens).some((piece) => piece.includes("\uFFFD")));
});

test("nothing is held back but an incomplete character", (t) => {
  t.deepEqual(pieces([bytesOf("a"), [0xf0], [0x9f, 0x98], [0x80, 0x62]]), ["a", "", "", "😀b", ""]);
});

test("a broken character is replaced as soon as it cannot be completed (D02)", (t) => {
  t.deepEqual(pieces([[0xe4, 0xbd], bytesOf(" x")]), ["", "\uFFFD x", ""]);
  t.deepEqual(pieces([[0xed], [0xa0]]), ["", "\uFFFD\uFFFD", ""]);
});

test("a truncated tail becomes one replacement character at the end", (t) => {
  t.deepEqual(pieces([bytesOf("a"), [0xf0, 0x9f, 0x98]]), ["a", "", "\uFFFD"]);
});

test("a byte order mark is text like any other", (t) => {
  t.deepEqual(pieces([bytesOf("\uFEFFa"), bytesOf("\uFEFF")]), ["\uFEFFa", "\uFEFF", ""]);
});

test("tokens without bytes and tokens outside the table add nothing", (t) => {
  const detokenizer = new Detokenizer(table([[0xc3], [], [0xa9]]));
  t.deepEqual(
    [0, 1, 3, 4_000_000_000, 2].map((id) => detokenizer.push(id)),
    ["", "", "", "", "é"],
  );
});
