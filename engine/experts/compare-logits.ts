import type { ShadowRecord } from "./shadow-tally.ts";

type Mutable<Item> = { -readonly [Key in keyof Item]: Item[Key] };

/**
 * Adds what two middles say of the same tokens to a record.
 * @param dense, own logits `[numRows, vocabSize]`
 */
export function addLogits(
  sums: Mutable<ShadowRecord>,
  dense: Float32Array,
  own: Float32Array,
  vocabSize: number,
): void {
  for (let start = 0; start < dense.length; start += vocabSize) {
    const p = dense.subarray(start, start + vocabSize);
    const q = own.subarray(start, start + vocabSize);
    const kl = divergence(p, q);
    if (!Number.isFinite(kl)) continue;
    sums.tokens++;
    sums.kl += kl;
    if (indexOfLargest(p) === indexOfLargest(q)) sums.agreeing++;
  }
}

/** KL divergence between the distributions of two rows of logits, in nats: the sum of p log(p / q). */
function divergence(p: Float32Array, q: Float32Array): number {
  const [shiftP, shiftQ] = [p[indexOfLargest(p)]!, q[indexOfLargest(q)]!];
  let [sumP, sumQ, weighted] = [0, 0, 0];
  for (let i = 0; i < p.length; i++) {
    const logP = p[i]! - shiftP;
    const logQ = q[i]! - shiftQ;
    const weight = Math.exp(logP);
    sumP += weight;
    sumQ += Math.exp(logQ);
    weighted += weight * (logP - logQ);
  }
  return Math.max(0, weighted / sumP - Math.log(sumP) + Math.log(sumQ));
}

function indexOfLargest(values: Float32Array): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i]! > values[best]!) best = i;
  return best;
}
