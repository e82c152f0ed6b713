import test from "ava";
import fc from "fast-check";
import { PromptLookup } from "../../../engine/speculation/prompt-lookup.ts";
import { GivenTokens } from "../../helpers/given-tokens.ts";

/** What three tokens before stood and went on with, looked for from the end. */
function plainGuess(ids: readonly number[], mostTokens: number): number[] | null {
  const last = ids.slice(-3).join();
  for (let end = ids.length - 1; end >= 3; end--) {
    if (ids.slice(end - 3, end).join() !== last) continue;
    const guess: number[] = [];
    while (guess.length < mostTokens) guess.push([...ids, ...guess][end + guess.length]!);
    return guess;
  }
  return null;
}

test("a text is guessed to go on as it did after its last three tokens the last time", (t) => {
  const guess = (ids: number[], mostTokens = 3) =>
    new PromptLookup(new GivenTokens(ids)).guess(mostTokens);
  t.deepEqual(guess([1, 2, 3, 4, 5, 6, 9, 1, 2, 3]), {
    tokenIds: Uint32Array.of(4, 5, 6),
    agreement: 3,
  });
  t.deepEqual(guess([7, 1, 2, 3, 4, 8, 7, 1, 2, 3, 5, 9, 7, 1, 2, 3])?.tokenIds[0], 5);
  t.is(guess([8, 7, 1, 2, 3, 4, 8, 7, 1, 2, 3])?.agreement, 5);
  t.is(guess([1, 2, 3, 4, 1, 2]), null);
  t.is(guess([1, 2]), null);
  t.is(guess([1, 2, 3, 1, 2, 3], 0), null);
});

test("guesses of a text that grows are those of a plain search", (t) => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 60 }),
      fc.integer({ min: 1, max: 6 }),
      (ids, mostTokens) => {
        const tokens = new GivenTokens(ids, 0);
        const lookup = new PromptLookup(tokens);
        for (; tokens.numTokens <= ids.length; tokens.numTokens++) {
          const guess = lookup.guess(mostTokens);
          const expected = plainGuess(ids.slice(0, tokens.numTokens), mostTokens);
          t.deepEqual(guess && [...guess.tokenIds], expected);
        }
      },
    ),
    { numRuns: 200 },
  );
});
