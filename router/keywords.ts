/** English words that say nothing of a topic, of three letters or more. */
const functionWords = new Set(
  (
    "about all and any are but can could did does for from get give had has have her him his how into its " +
    "just like make many may more most much not off one our out over please she should some such than that " +
    "the their them then there these they this those too use very was were what when where which while who " +
    "why will with would you your"
  ).split(" "),
);

/** Words of a text, in small letters. */
function wordsOf(text: string): string[] {
  const words = text.toLowerCase().match(/\p{L}[\p{L}\p{N}'-]{2,}/gu) ?? [];
  return words.filter((word) => !functionWords.has(word));
}

/**
 * The words that set each group of texts apart from the others, best first: frequent in its texts and rare in
 * those of the others (class-based TF-IDF, Grootendorst 2022, over the texts that have a word).
 */
export function keywords(groups: readonly (readonly string[])[], count: number): string[][] {
  const counts = groups.map((texts) => {
    const own = new Map<string, number>();
    for (const text of texts) {
      for (const word of new Set(wordsOf(text))) own.set(word, (own.get(word) ?? 0) + 1);
    }
    return own;
  });
  const shares = counts.map(
    (own, i) =>
      new Map(Array.from(own, ([word, number]) => [word, number / groups[i]!.length] as const)),
  );
  return shares.map((own, i) => {
    const scored = Array.from(own, ([word, share]) => {
      const elsewhere = shares.reduce(
        (sum, other, j) => (j === i ? sum : sum + (other.get(word) ?? 0)),
        0,
      );
      return { word, score: share * Math.log(1 + share / (elsewhere + 0.05)) };
    });
    const isEarlier = (a: string, b: string): number => (a < b ? -1 : 1);
    scored.sort((a, b) => b.score - a.score || isEarlier(a.word, b.word));
    return scored.slice(0, count).map(({ word }) => word);
  });
}
