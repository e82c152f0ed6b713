import { InferenceError } from "../contract/errors.ts";
import { fastExp, fastExpStep, minFastExp, numSteps } from "./fast-exp.ts";

/** Which tokens may be drawn, and how sharply; as in `SamplingParams`, with a temperature of at least 1e-6. */
export interface DrawParams {
  readonly temperature: number;
  readonly topK: number;
  readonly topP: number;
  readonly minP: number;
}

/** Tokens per partial sum. */
const blockSize = 64;

/**
 * The most likely token; the lowest id wins ties, NaN never does. `logits` has shape `[vocabSize]`.
 * @throws InferenceError when no logit is a number above -Infinity.
 */
export function argmax(logits: Float32Array): number {
  // Four maxima that do not wait for each other, then a search for the largest.
  let [max0, max1, max2, max3] = [-Infinity, -Infinity, -Infinity, -Infinity];
  const end = logits.length - (logits.length % 4);
  for (let id = 0; id < end; id += 4) {
    const logit0 = logits[id]!;
    const logit1 = logits[id + 1]!;
    const logit2 = logits[id + 2]!;
    const logit3 = logits[id + 3]!;
    if (logit0 > max0) max0 = logit0;
    if (logit1 > max1) max1 = logit1;
    if (logit2 > max2) max2 = logit2;
    if (logit3 > max3) max3 = logit3;
  }
  for (let id = end; id < logits.length; id++) if (logits[id]! > max0) max0 = logits[id]!;
  const max = Math.max(max0, max1, max2, max3);
  if (max === -Infinity) {
    throw new InferenceError(`None of the ${logits.length} logits is a number above -Infinity.`);
  }
  return logits.indexOf(max);
}

/**
 * Draws a token with probability softmax(logits / temperature), of the `topK` most likely ones, of
 * these the fewest whose share reaches `topP`, of these the ones with at least `minP` times the
 * largest probability. Of equally likely tokens the lower ids are kept. `uniform` in [0, 1) picks along
 * the kept tokens in order of their ids, so that a small change of the logits seldom changes the
 * outcome. Tokens whose share is below e^-30 of the most likely one's are never drawn.
 * @throws InferenceError when no logit is a number above -Infinity.
 */
export function drawToken(logits: Float32Array, params: DrawParams, uniform: number): number {
  const listed = listTop(logits, params.topK);
  if (listed !== null) return drawListed(logits, listed, params, uniform);
  const topId = argmax(logits);
  const max = logits[topId]!;
  if (max === Infinity) return topId;
  const { temperature, topK, topP, minP } = params;
  const scale = new Scale(max, temperature);
  let cut: Cut = { logit: scale.floor, id: logits.length };
  if ((topK > 0 && topK < logits.length) || topP < 1) {
    const bins = new Bins(logits, scale);
    const mostLikely = bins.cut(topK > 0 ? topK : Infinity, Infinity);
    cut = topP < 1 ? bins.cut(Infinity, topP * mostLikely.mass) : mostLikely;
  }
  if (minP > 0) {
    const logit = max + Math.log(minP) * temperature;
    if (logit > cut.logit) cut = { logit, id: logits.length };
  }
  return drawKept(logits, scale, cut, uniform);
}

/** Logits to probabilities relative to the most likely token's. */
class Scale {
  /** Smallest logit that counts. */
  readonly floor: number;
  readonly #max: number;
  readonly #factor: number;

  constructor(max: number, temperature: number) {
    this.#max = max;
    this.#factor = 1 / temperature;
    // Never so low that what may not be drawn, which is at -Infinity, reaches it.
    this.floor = Math.max(max + minFastExp * temperature, -Number.MAX_VALUE);
  }

  /** In (0, 1]. */
  weight(logit: number): number {
    return fastExp(this.exponent(logit));
  }

  /** Argument of `fastExp`; its step is the logit's bin, which never falls as the logit falls. */
  exponent(logit: number): number {
    // Rounding may put a logit just above the floor just below the smallest argument.
    return Math.max(minFastExp, (logit - this.#max) * this.#factor);
  }

  /** About the largest logit of a bin. */
  logitOfBin(bin: number): number {
    return this.#max - (bin * -minFastExp) / ((numSteps - 1) * this.#factor);
  }
}

/** The least likely token kept: all with a larger logit are, and of an equal logit those up to this id. */
interface Cut {
  readonly logit: number;
  readonly id: number;
}

/** Tokens sorted roughly, by likelihood into bins, so that only one bin has to be sorted exactly. */
class Bins {
  readonly #logits: Float32Array;
  readonly #scale: Scale;
  readonly #floor: number;
  readonly #counts = new Int32Array(numSteps);
  readonly #masses = new Float64Array(numSteps);

  constructor(logits: Float32Array, scale: Scale) {
    this.#logits = logits;
    this.#scale = scale;
    this.#floor = scale.floor;
    const floor = this.#floor;
    const counts = this.#counts;
    const masses = this.#masses;
    for (let id = 0; id < logits.length; id++) {
      const logit = logits[id]!;
      if (!(logit >= floor)) continue;
      const exponent = scale.exponent(logit);
      const bin = fastExpStep(exponent);
      counts[bin]!++;
      masses[bin]! += fastExp(exponent);
    }
  }

  /** Keeps the fewest most likely tokens that are `count` or reach `mass`, or all; `mass` is theirs. */
  cut(count: number, mass: number): Cut & { readonly mass: number } {
    let keptCount = 0;
    let keptMass = 0;
    for (let bin = 0; bin < numSteps; bin++) {
      if (keptCount + this.#counts[bin]! < count && keptMass + this.#masses[bin]! < mass) {
        keptCount += this.#counts[bin]!;
        keptMass += this.#masses[bin]!;
        continue;
      }
      for (const id of this.#sorted(bin)) {
        const logit = this.#logits[id]!;
        keptCount++;
        keptMass += this.#scale.weight(logit);
        if (keptCount >= count || keptMass >= mass) return { logit, id, mass: keptMass };
      }
    }
    return { logit: this.#floor, id: this.#logits.length, mass: keptMass };
  }

  /** Ids of a bin's tokens, the most likely first, the lower id first of equally likely ones. */
  #sorted(bin: number): number[] {
    const logits = this.#logits;
    // A cheap test with room for rounding spares most tokens the exact one.
    const low = Math.max(this.#floor, this.#scale.logitOfBin(bin + 2));
    const high = this.#scale.logitOfBin(bin - 1);
    const ids: number[] = [];
    for (let id = 0; id < logits.length; id++) {
      const logit = logits[id]!;
      if (!(logit >= low && logit <= high)) continue;
      if (fastExpStep(this.#scale.exponent(logit)) === bin) ids.push(id);
    }
    return ids.sort((a, b) => logits[b]! - logits[a]! || a - b);
  }
}

/** Largest `topK` for which the tokens are listed, so that little but one pass over all is left to do. */
const mostListed = 256;

/**
 * The `count` most likely tokens, the most likely first, the lower id first of equally likely ones.
 * @returns null where there are too many of them for that, or too few of others
 */
function listTop(logits: Float32Array, count: number): number[] | null {
  const numBlocks = Math.ceil(logits.length / blockSize);
  if (count < 1 || count > mostListed || count * 4 > numBlocks) return null;
  const maxima = new Float32Array(numBlocks);
  for (let block = 0; block < numBlocks; block++) {
    const end = Math.min(logits.length, (block + 1) * blockSize);
    let max = -Infinity;
    for (let id = block * blockSize; id < end; id++) if (logits[id]! > max) max = logits[id]!;
    maxima[block] = max;
  }
  // Each maximum is a token's, so that at least `count` tokens reach the smallest of the largest ones.
  const bound = largest(maxima, count);
  if (bound === -Infinity) return null;
  const ids: number[] = [];
  for (let block = 0; block < numBlocks; block++) {
    if (maxima[block]! < bound) continue;
    const end = Math.min(logits.length, (block + 1) * blockSize);
    for (let id = block * blockSize; id < end; id++) if (logits[id]! >= bound) ids.push(id);
  }
  ids.sort((a, b) => logits[b]! - logits[a]! || a - b);
  return ids.slice(0, count);
}

/** The `count`th largest value. */
function largest(values: Float32Array, count: number): number {
  const top = new Float32Array(count).fill(-Infinity);
  for (const value of values) {
    if (value <= top[count - 1]!) continue;
    let place = count - 1;
    for (; place > 0 && top[place - 1]! < value; place--) top[place] = top[place - 1]!;
    top[place] = value;
  }
  return top[count - 1]!;
}

/** As `drawToken`, of tokens that are listed. @param ids the most likely first */
function drawListed(
  logits: Float32Array,
  ids: readonly number[],
  { temperature, topP, minP }: DrawParams,
  uniform: number,
): number {
  const max = logits[ids[0]!]!;
  if (max === Infinity) return ids[0]!;
  const scale = new Scale(max, temperature);
  const floor = minP > 0 ? Math.max(scale.floor, max + Math.log(minP) * temperature) : scale.floor;
  let mass = 0;
  for (const id of ids) if (logits[id]! >= scale.floor) mass += scale.weight(logits[id]!);
  const kept: number[] = [];
  let keptMass = 0;
  for (const id of ids) {
    if (!(logits[id]! >= floor) || (topP < 1 && keptMass >= topP * mass)) break;
    kept.push(id);
    keptMass += scale.weight(logits[id]!);
  }
  kept.sort((a, b) => a - b);
  let target = uniform * keptMass;
  for (const id of kept) {
    target -= scale.weight(logits[id]!);
    if (target < 0) return id;
  }
  return kept.at(-1)!;
}

/** One pass for the sums of blocks, then a walk through the block that `uniform` falls into. */
function drawKept(logits: Float32Array, scale: Scale, cut: Cut, uniform: number): number {
  const { logit: cutLogit, id: cutId } = cut;
  const isKept = (logit: number, id: number): boolean =>
    logit >= cutLogit && (logit > cutLogit || id <= cutId);
  const masses = new Float64Array(Math.ceil(logits.length / blockSize));
  let total = 0;
  let lastBlock = 0;
  for (let block = 0; block < masses.length; block++) {
    const end = Math.min(logits.length, (block + 1) * blockSize);
    let mass = 0;
    for (let id = block * blockSize; id < end; id++) {
      if (isKept(logits[id]!, id)) mass += scale.weight(logits[id]!);
    }
    if (mass > 0) lastBlock = block;
    masses[block] = mass;
    total += mass;
  }
  let target = uniform * total;
  let block = 0;
  while (block < lastBlock && target >= masses[block]!) target -= masses[block++]!;
  const end = Math.min(logits.length, (block + 1) * blockSize);
  let drawn = -1;
  for (let id = block * blockSize; id < end && target >= 0; id++) {
    if (!isKept(logits[id]!, id)) continue;
    drawn = id;
    target -= scale.weight(logits[id]!);
  }
  return drawn;
}
