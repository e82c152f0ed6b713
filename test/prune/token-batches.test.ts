import test from "ava";
import fc from "fast-check";
import { packSequences } from "../../prune/token-batches.ts";

test("every token is packed once, in order and at its position", (t) => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 700 }), { maxLength: 40 }), (lengths) => {
      let next = 0;
      const sequences = lengths.map((length) => Uint32Array.from({ length }, () => next++));
      const found = sequences.map(() => [] as number[]);
      for (const batch of packSequences(sequences)) {
        t.is(batch.tokenIds.length, batch.numRows * batch.length);
        const tokenRows = Array.from(batch.tokenRows, Number);
        t.deepEqual(
          tokenRows,
          Array.from(batch.sequences.keys()).filter((row) => batch.sequences[row] !== -1),
        );
        for (const row of tokenRows) {
          const ids = found[batch.sequences[row]!]!;
          t.is(Number(batch.positions[row]), ids.length);
          ids.push(Number(batch.tokenIds[row]));
        }
      }
      t.deepEqual(
        found,
        sequences.map((ids) => [...ids]),
      );
    }),
    { numRuns: 30 },
  );
});

test("short sequences share rows, so that little is padding", (t) => {
  const sequences = Array.from({ length: 200 }, (_, i) => new Uint32Array(20 + ((i * 37) % 300)));
  const numTokens = sequences.reduce((total, { length }) => total + length, 0);
  const size = packSequences(sequences).reduce((total, { tokenIds }) => total + tokenIds.length, 0);
  t.true(size < 1.05 * numTokens, `${size} for ${numTokens}`);
});
