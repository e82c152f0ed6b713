import test from "ava";
import { Acceptance } from "../../../engine/speculation/acceptance.ts";
import { PassCosts } from "../../../engine/speculation/pass-costs.ts";
import { Speculation } from "../../../engine/speculation/speculation.ts";
import { GivenTokens } from "../../helpers/given-tokens.ts";

/** A text that repeats itself, and one that does not. */
const repeated = () => new GivenTokens(Array.from({ length: 40 }, (_, i) => i % 10));
const fresh = () => new GivenTokens(Array.from({ length: 40 }, (_, i) => i));

/** Says what passes take. @param seconds of a pass of some tokens */
function measured(speculation: Speculation, seconds: (numRows: number) => number): void {
  for (let numRows = 1; numRows <= 64; numRows++) speculation.measured(numRows, seconds(numRows));
}

test("a text that repeats itself is guessed as far as there is room, and one that does not is not", (t) => {
  const speculation = new Speculation({ mostTokens: 8 });
  const [tokens, other] = [repeated(), fresh()];
  measured(speculation, () => 1);
  t.deepEqual(
    [...speculation.plan([{ tokens, mostTokens: 20 }]).get(tokens)!],
    [0, 1, 2, 3, 4, 5, 6, 7],
  );
  t.is(speculation.plan([{ tokens, mostTokens: 2 }]).get(tokens)!.length, 2);
  t.is(speculation.plan([{ tokens, mostTokens: 0 }]).size, 0);
  t.is(speculation.plan([{ tokens: other, mostTokens: 20 }]).size, 0);
});

test("all sequences of a step bring as many tokens, also those without a guess", (t) => {
  const speculation = new Speculation({ mostTokens: 4 });
  const [tokens, other] = [repeated(), fresh()];
  measured(speculation, () => 1);
  const drafts = speculation.plan([
    { tokens, mostTokens: 20 },
    { tokens: other, mostTokens: 3 },
  ]);
  t.is(drafts.get(tokens)!.length, 3);
  t.is(drafts.get(other)!.length, 3);
});

test("nothing is guessed where a pass of several tokens takes as long as one of each", (t) => {
  const speculation = new Speculation({ mostTokens: 8 });
  measured(speculation, (numRows) => numRows);
  t.is(speculation.plan([{ tokens: repeated(), mostTokens: 20 }]).size, 0);
});

test("guesses that are wrong stop, and are tried again after a while", (t) => {
  const speculation = new Speculation({ mostTokens: 4 });
  measured(speculation, (numRows) => 1 + 0.15 * numRows);
  const tokens = repeated();
  const plan = () => speculation.plan([{ tokens, mostTokens: 20 }]).get(tokens);
  let numTried = 0;
  for (; plan() && numTried < 100; numTried++) speculation.learn(tokens, 0, plan()!.length);
  t.true(numTried < 15, `${numTried} tries`);
  let numSteps = 1;
  while (!plan()) numSteps++;
  t.true(numSteps > 10 && numSteps < 1000, `${numSteps} steps`);
});

test("right guesses make for longer ones", (t) => {
  const acceptance = new Acceptance();
  const before = acceptance.expected(3);
  acceptance.add(3, 4, 4);
  t.true(acceptance.expected(3) > before);
  const high = acceptance.expected(3);
  acceptance.add(3, 1, 4);
  t.true(acceptance.expected(3) < high);
  t.is(acceptance.expected(16), new Acceptance().expected(16));
});

test("what was measured of a pass counts, and what lies between is guessed", (t) => {
  const costs = new PassCosts();
  t.is(costs.ratio(1, 5), 1.4);
  costs.add(1, 10);
  costs.add(5, 15);
  t.is(costs.ratio(1, 5), 1.5);
  t.is(costs.ratio(1, 7), 1.7);
  costs.add(5, 25);
  t.is(costs.ratio(1, 5), 1.6);
});
