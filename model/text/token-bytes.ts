const utf8 = new TextEncoder();

/** The visible characters that GPT-2 style vocabularies write for the 256 bytes, as code point to byte. */
const bytesByCode = byteAlphabet();

/** Bytes of a token of a byte-level vocabulary; text outside its alphabet stands for itself. */
export function byteLevelBytes(content: string): Uint8Array {
  const bytes = new Uint8Array(content.length);
  for (let i = 0; i < content.length; i++) {
    const byte = bytesByCode.get(content.charCodeAt(i));
    if (byte === undefined) return utf8.encode(content);
    bytes[i] = byte;
  }
  return bytes;
}

/** Bytes of a SentencePiece token: `<0x0A>` is that byte, `▁` a space. */
export function sentencePieceBytes(content: string): Uint8Array {
  const byte = byteTokenValue(content);
  return byte === null ? utf8.encode(content.replaceAll("\u2581", " ")) : Uint8Array.of(byte);
}

/** The value of a token written `<0xNN>`, or null. */
function byteTokenValue(content: string): number | null {
  return /^<0x[0-9A-Fa-f]{2}>$/.test(content) ? Number.parseInt(content.slice(3, 5), 16) : null;
}

/** Ids of the 256 byte tokens, or null when the vocabulary lacks one. */
export function findByteTokenIds(vocab: ReadonlyMap<string, number>): Int32Array | null {
  const ids = new Int32Array(256);
  for (let byte = 0; byte < 256; byte++) {
    const id = vocab.get(`<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`);
    if (id === undefined) return null;
    ids[byte] = id;
  }
  return ids;
}

/** Printable bytes stand for themselves, the others for the code points from 256 on, in order. */
function byteAlphabet(): Map<number, number> {
  const alphabet = new Map<number, number>();
  let nextCode = 256;
  for (let byte = 0; byte < 256; byte++) {
    const printable =
      (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
    alphabet.set(printable ? byte : nextCode++, byte);
  }
  return alphabet;
}
