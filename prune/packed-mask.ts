import { AttentionMask } from "../runtime/attention-mask.ts";
import type { TokenBatch } from "./token-batches.ts";

/** A token sees itself and those before it in its own sequence. */
export function packedMask({ numRows, length, sequences }: TokenBatch): AttentionMask {
  const mask = new AttentionMask(numRows, length);
  for (let row = 0; row < numRows; row++) {
    const first = row * length;
    let start = first; // of the sequence
    for (let token = first; token < first + length; token++) {
      if (sequences[token] !== sequences[start]) start = token;
      mask.show(token, start - first, token - first + 1);
    }
  }
  return mask;
}
