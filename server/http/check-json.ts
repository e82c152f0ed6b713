import { isUtf8 } from "node:buffer";
import { InvalidJsonError } from "../base/errors.ts";
import { jsonLimits } from "../base/request-limits.ts";

const quotationMark = 0x22;
const comma = 0x2c;
const colon = 0x3a;
const openBracket = 0x5b;
const backslash = 0x5c;
const closeBracket = 0x5d;
const openBrace = 0x7b;
const closeBrace = 0x7d;

/**
 * Refuses JSON that must not be parsed: bytes that are not UTF-8, of which a decoder would make something else than
 * what was sent, and values that would cost too much. Takes time linear in the bytes.
 * @throws InvalidJsonError
 */
export function checkJson(bytes: Buffer): void {
  if (!isUtf8(bytes)) {
    const message = `The JSON text is not UTF-8: it stops being so at byte ${firstInvalidByte(bytes)}.`;
    throw new InvalidJsonError(message);
  }
  let depth = 0;
  let members = 0;
  let keys = 0;
  const { length } = bytes;
  for (let i = 0; i < length; i++) {
    const byte = bytes[i]!;
    // Digits and letters, which are most of what is no text.
    if ((byte > comma && byte < colon) || (byte > closeBracket && byte < openBrace)) continue;
    switch (byte) {
      case quotationMark:
        i++;
        while (i < length && bytes[i] !== quotationMark) i += bytes[i] === backslash ? 2 : 1;
        break;
      case colon:
        keys++;
        break;
      case comma:
        members++;
        break;
      case openBracket:
      case openBrace:
        members++;
        depth++;
        if (depth > jsonLimits.depth) {
          throw tooMuch(jsonLimits.depth, "arrays and objects inside each other");
        }
        break;
      case closeBracket:
      case closeBrace:
        depth--;
    }
  }
  if (members > jsonLimits.members) {
    throw tooMuch(jsonLimits.members, "members of arrays and objects");
  }
  if (keys > jsonLimits.keys) throw tooMuch(jsonLimits.keys, "keys of objects");
}

function tooMuch(limit: number, what: string): InvalidJsonError {
  return new InvalidJsonError(`The JSON text has more than ${limit} ${what}, which is the limit.`);
}

/** A decoder puts U+FFFD in the place of what it cannot read; from there on the bytes are others. */
function firstInvalidByte(bytes: Buffer): number {
  const decoded = Buffer.from(bytes.toString());
  let index = 0;
  while (index < bytes.length && bytes[index] === decoded[index]) index++;
  return index;
}
