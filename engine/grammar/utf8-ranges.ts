/** Bytes that may stand at one place, both included. */
export type ByteRange = readonly [first: number, last: number];

/** Last code points that take one, two and three bytes. */
const lastOfLength = [0x7f, 0x7ff, 0xffff];

/**
 * The UTF-8 of a range of code points as sequences of byte ranges: every text of one of them is a code point of the
 * range, and every code point is in one.
 */
export function utf8Ranges(first: number, last: number): ByteRange[][] {
  for (const border of lastOfLength) {
    if (first <= border && border < last) return split(first, border, last);
  }
  if (last <= 0x7f) return [[[first, last]]];
  // Below some bits all values must be there, or there is a sequence for each half.
  for (let bytes = 1; bytes <= 3; bytes++) {
    const mask = 2 ** (6 * bytes) - 1;
    if ((first & ~mask) === (last & ~mask)) continue;
    if ((first & mask) !== 0) return split(first, first | mask, last);
    if ((last & mask) !== mask) return split(first, (last & ~mask) - 1, last);
  }
  const [low, high] = [
    Buffer.from(String.fromCodePoint(first)),
    Buffer.from(String.fromCodePoint(last)),
  ];
  return [Array.from(low, (byte, i) => [byte, high[i]!])];
}

function split(first: number, border: number, last: number): ByteRange[][] {
  return [...utf8Ranges(first, border), ...utf8Ranges(border + 1, last)];
}
