/** Counts by true and by chosen label. */
export interface Confusion {
  readonly labels: readonly string[];
  /** Shape `[true, chosen]`. */
  readonly counts: readonly (readonly number[])[];
}

export interface LabelScore {
  readonly label: string;
  readonly numRows: number;
  readonly precision: number;
  readonly recall: number;
  readonly f1: number;
}

/** Two labels, of which rows of the first were taken for the second. */
export interface ConfusedPair {
  readonly label: string;
  readonly takenFor: string;
  readonly numRows: number;
  /** Of the rows of `label`. */
  readonly share: number;
}

export function countConfusion(
  labels: readonly string[],
  rows: readonly { readonly label: string; readonly chosen: string }[],
): Confusion {
  const counts = labels.map(() => labels.map(() => 0));
  for (const { label, chosen } of rows) {
    counts[labels.indexOf(label)]![labels.indexOf(chosen)]! += 1;
  }
  return { labels, counts };
}

/** Share of rows on the diagonal; NaN without rows. */
export function accuracyOf({ counts }: Confusion): number {
  const total = counts.flat().reduce((sum, count) => sum + count, 0);
  return counts.reduce((sum, row, i) => sum + row[i]!, 0) / total;
}

/** Of the labels that have rows. */
export function labelScores({ labels, counts }: Confusion): LabelScore[] {
  return labels.flatMap((label, i) => {
    const numRows = counts[i]!.reduce((sum, count) => sum + count, 0);
    if (numRows === 0) return [];
    const hits = counts[i]![i]!;
    const numChosen = counts.reduce((sum, row) => sum + row[i]!, 0);
    const precision = numChosen === 0 ? 0 : hits / numChosen;
    const recall = hits / numRows;
    const f1 = hits === 0 ? 0 : (2 * precision * recall) / (precision + recall);
    return [{ label, numRows, precision, recall, f1 }];
  });
}

/** The unweighted mean of the labels' F1. */
export function macroF1(scores: readonly LabelScore[]): number {
  return scores.reduce((sum, { f1 }) => sum + f1, 0) / scores.length;
}

/** The most frequent mistakes, by falling share. */
export function confusedPairs({ labels, counts }: Confusion, count: number): ConfusedPair[] {
  const pairs = counts.flatMap((row, i) => {
    const total = row.reduce((sum, value) => sum + value, 0);
    return row.flatMap((numRows, j) =>
      i === j || numRows === 0
        ? []
        : [{ label: labels[i]!, takenFor: labels[j]!, numRows, share: numRows / total }],
    );
  });
  return pairs.sort((a, b) => b.share - a.share || b.numRows - a.numRows).slice(0, count);
}

/**
 * Area under the ROC curve: how often a foreign value is above an own one, ties counted half. NaN without
 * values on either side.
 */
export function areaUnderRoc(own: readonly number[], foreign: readonly number[]): number {
  const all = [
    ...own.map((value) => ({ value, isForeign: false })),
    ...foreign.map((value) => ({ value, isForeign: true })),
  ].sort((a, b) => a.value - b.value);
  let ranks = 0;
  for (let start = 0; start < all.length;) {
    let end = start + 1;
    while (end < all.length && all[end]!.value === all[start]!.value) end += 1;
    const rank = (start + end + 1) / 2; // of each of the equal values, from 1
    for (let i = start; i < end; i++) if (all[i]!.isForeign) ranks += rank;
    start = end;
  }
  const least = (foreign.length * (foreign.length + 1)) / 2;
  return (ranks - least) / (own.length * foreign.length);
}
