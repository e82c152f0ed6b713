/** Tokens that may come next: their ids where they are few, else a bit of each, `i % 32` of element `i / 32`. */
export interface TokenMask {
  readonly kind: "ids" | "bits";
  readonly values: Int32Array;
}

/** The shorter of the two for the tokens whose bits are set; the bits are copied. */
export function toTokenMask(bits: Int32Array): TokenMask {
  const ids: number[] = [];
  for (const [word, set] of bits.entries()) {
    for (let rest = set; rest !== 0; rest &= rest - 1) {
      if (ids.length === bits.length) return { kind: "bits", values: bits.slice() };
      ids.push(word * 32 + 31 - Math.clz32(rest & -rest));
    }
  }
  return { kind: "ids", values: Int32Array.from(ids) };
}

/** @param scratch - one bit for each token; used where the mask is none of bits */
export function bitsOf({ kind, values }: TokenMask, scratch: Int32Array): Int32Array {
  if (kind === "bits") return values;
  scratch.fill(0);
  for (const id of values) scratch[id >>> 5]! |= 1 << (id & 31);
  return scratch;
}
