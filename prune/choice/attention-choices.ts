import type { ModelConfig } from "../../model/weights/config.ts";
import { orderByScore } from "./scores.ts";

/**
 * One way to thin a layer's attention that the graph can run: every KV head that stays keeps the same number
 * of query heads.
 */
export interface AttentionChoice {
  /** Ascending. */
  readonly keptHeads: readonly number[];
  /** Ascending. */
  readonly keptKvHeads: readonly number[];
  /** Weights in query, key, value and output. */
  readonly parameters: number;
  /** What leaving out the others costs; of any scale, 0 for nothing left out. */
  readonly loss: number;
}

/** Parameters of query, key, value and output with so many heads. */
export function attentionParameters(
  { hiddenSize, headDim }: ModelConfig,
  numHeads: number,
  numKvHeads: number,
): number {
  return 2 * hiddenSize * headDim * (numHeads + numKvHeads);
}

/**
 * The choices worth making by head scores, from all heads to none: with any number of KV heads and any equal
 * number of query heads for each, those of the highest scores; without those that keep more parameters than
 * another at no smaller loss. The loss is the sum of the scores left out. With one query head per KV head
 * the choices leave out the lowest 0, 1, 2, … heads.
 * @param scores shape `[numHeads]`, none negative
 */
export function choicesByScore(scores: Float64Array, config: ModelConfig): AttentionChoice[] {
  const { numHeads, numKvHeads } = config;
  const groupSize = numHeads / numKvHeads;
  const total = scores.reduce((sum, score) => sum + score, 0);
  const sumOf = (heads: readonly number[]) => heads.reduce((sum, head) => sum + scores[head]!, 0);
  const choices: AttentionChoice[] = [];
  for (let headsPerKv = groupSize; headsPerKv > 0; headsPerKv--) {
    const groups = Array.from({ length: numKvHeads }, (_, kvHead) => {
      const first = kvHead * groupSize;
      const best = keepHighest(scores.subarray(first, first + groupSize), headsPerKv);
      return best.map((head) => first + head);
    });
    const groupScores = Float64Array.from(groups, sumOf);
    for (let kept = numKvHeads; kept > 0; kept--) {
      const keptKvHeads = keepHighest(groupScores, kept);
      const keptHeads = keptKvHeads.flatMap((kvHead) => groups[kvHead]!);
      choices.push(attentionChoice(config, keptHeads, keptKvHeads, total - sumOf(keptHeads)));
    }
  }
  choices.push(attentionChoice(config, [], [], total));
  return worthwhile(choices);
}

export function attentionChoice(
  config: ModelConfig,
  keptHeads: readonly number[],
  keptKvHeads: readonly number[],
  loss: number,
): AttentionChoice {
  const parameters = attentionParameters(config, keptHeads.length, keptKvHeads.length);
  const nothingLeftOut = keptHeads.length === config.numHeads;
  return { keptHeads, keptKvHeads, parameters, loss: nothingLeftOut ? 0 : loss };
}

/** Parameters falling, loss rising; the choice that leaves nothing out always stays. */
export function worthwhile(choices: readonly AttentionChoice[]): AttentionChoice[] {
  const ascending = [...choices].sort((a, b) => a.parameters - b.parameters || a.loss - b.loss);
  const dense = ascending.at(-1);
  let smallest = Infinity;
  const kept = ascending.filter((choice) => {
    if (choice !== dense && choice.loss >= smallest) return false;
    smallest = Math.min(smallest, choice.loss);
    return true;
  });
  return kept.reverse();
}

/** Indices of the `count` highest scores, ascending; of equal ones the lower index goes first. */
function keepHighest(scores: Float64Array, count: number): number[] {
  return orderByScore(scores)
    .slice(scores.length - count)
    .sort((a, b) => a - b);
}
