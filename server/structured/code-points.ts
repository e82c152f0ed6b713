import type { CodePoints } from "../../engine/grammar/grammar.ts";

/** Every character: all code points but those that stand for half a character in UTF-16. */
export const allCharacters: CodePoints = [
  [0, 0xd7ff],
  [0xe000, 0x10ffff],
];

/** What is in any of the sets. */
export function union(sets: readonly CodePoints[]): CodePoints {
  const ranges = sets.flat().sort(([a], [b]) => a - b);
  const merged: [number, number][] = [];
  for (const [first, last] of ranges) {
    const previous = merged.at(-1);
    if (previous !== undefined && first <= previous[1] + 1) {
      previous[1] = Math.max(previous[1], last);
    } else merged.push([first, last]);
  }
  return merged;
}

/** What is in the one set and not in the other. */
export function difference(set: CodePoints, excluded: CodePoints): CodePoints {
  const rest: (readonly [number, number])[] = [];
  /** First of the excluded ranges that may still touch what comes. */
  let next = 0;
  for (const [first, last] of set) {
    let from = first;
    while (next < excluded.length && excluded[next]![1] < from) next++;
    for (let i = next; i < excluded.length && excluded[i]![0] <= last; i++) {
      const [start, end] = excluded[i]!;
      if (from < start) rest.push([from, start - 1]);
      from = end + 1;
    }
    if (from <= last) rest.push([from, last]);
  }
  return rest;
}

export function contains(set: CodePoints, codePoint: number): boolean {
  return set.some(([first, last]) => first <= codePoint && codePoint <= last);
}
