import test from "ava";
import fc from "fast-check";
import { NoTokenLeftError } from "../../../engine/contract/errors.ts";
import { TokenRules, tokenSet } from "../../../engine/sequence/token-rules.ts";

/** Ids of a mask that is full beyond the vocabulary or not. */
function idsOf(mask: Int32Array, vocabSize: number): number[] {
  return Array.from({ length: vocabSize }, (_, id) => id).filter(
    (id) => ((mask[id >>> 5]! >>> (id & 31)) & 1) === 1,
  );
}

/** The rules as one would say them. */
function plainIds(
  rules: {
    readonly allowed: readonly number[] | null;
    readonly banned: readonly (readonly number[])[];
    readonly minTokens: number;
    readonly ends: readonly number[];
  },
  output: readonly number[],
  grammar: readonly number[] | null,
  vocabSize: number,
): number[] {
  const { allowed, banned, minTokens, ends } = rules;
  const mayCome = Array.from({ length: vocabSize }, (_, id) => id)
    .filter((id) => allowed?.includes(id) ?? true)
    .filter((id) => grammar?.includes(id) ?? true)
    .filter((id) => {
      const text = [...output, id].join(" ");
      return !banned.some((ids) => ` ${text}`.endsWith(` ${ids.join(" ")}`));
    });
  const goingOn = mayCome.filter((id) => output.length >= minTokens || !ends.includes(id));
  return goingOn.length === 0 && grammar !== null ? mayCome : goingOn;
}

test("the tokens that may come are those that the rules, said one by one, leave", (t) => {
  const vocabSize = 40;
  const id = fc.nat({ max: vocabSize - 1 });
  // Few, so that what is banned does come up.
  const few = fc.nat({ max: 2 });
  fc.assert(
    fc.property(
      fc.option(fc.array(fc.oneof(id, few), { minLength: 1, maxLength: 60 })),
      fc.array(fc.array(few, { minLength: 1, maxLength: 3 }), { maxLength: 4 }),
      fc.nat({ max: 5 }),
      fc.array(id, { maxLength: 3 }),
      fc.array(few, { maxLength: 6 }),
      fc.option(fc.array(id, { maxLength: 40 })),
      (allowed, banned, minTokens, ends, output, grammar) => {
        const rules = new TokenRules(
          {
            ...(allowed && { allowedTokens: tokenSet(allowed, vocabSize) }),
            bannedTokens: banned,
            minTokens,
          },
          ends,
          vocabSize,
        );
        const mask = () =>
          rules.mask(Uint32Array.from(output), grammar && tokenSet(grammar, vocabSize));
        const plain = { allowed, banned, minTokens, ends };
        const expected = plainIds(plain, output, grammar, vocabSize);
        if (expected.length === 0) t.throws(mask, { instanceOf: NoTokenLeftError });
        else t.deepEqual(idsOf(mask(), vocabSize), expected);
      },
    ),
  );
});

test("a grammar's own mask is left as it is", (t) => {
  const grammar = tokenSet([1, 2, 3], 32);
  new TokenRules({ allowedTokens: tokenSet([2], 32) }, [], 32).mask(new Uint32Array(), grammar);
  t.deepEqual(idsOf(grammar, 32), [1, 2, 3]);
});
