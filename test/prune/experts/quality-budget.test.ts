import test from "ava";
import { budgetGrid, chooseSparsity } from "../../../prune/experts/quality-budget.ts";

/** Loss rises by the square; the interval reaches `half` to both sides. */
function judgeOf(asked: number[], half = 0) {
  return (sparsity: number) => {
    asked.push(sparsity);
    const value = sparsity ** 2;
    return Promise.resolve({ value, low: value - half, high: value + half });
  };
}

test("the grid goes from 5 % to 70 % in steps of 5 %", (t) => {
  t.is(budgetGrid.length, 14);
  t.is(budgetGrid[0], 0.05);
  t.is(budgetGrid[5], 0.3);
  t.is(budgetGrid.at(-1), 0.7);
});

test("of every budget the largest sparsity within it is found by few trials", async (t) => {
  for (const sparsity of budgetGrid) {
    const asked: number[] = [];
    const budget = Math.expm1(sparsity ** 2 + 1e-9);
    const choice = await chooseSparsity(budget, judgeOf(asked));
    t.is(choice.sparsity, sparsity);
    t.true(asked.length <= 4);
    t.deepEqual(
      choice.trials.map((trial) => trial.sparsity),
      asked,
    );
    t.true(choice.trials.every((trial) => trial.isWithin === trial.sparsity <= sparsity));
  }
});

test("perplexity, not its logarithm, is what the budget is of", async (t) => {
  // exp(0.1) - 1 is 0.105.
  const judge = () => Promise.resolve({ value: 0.1, low: 0.1, high: 0.1 });
  t.is((await chooseSparsity(0.104, judge)).sparsity, null);
  t.is((await chooseSparsity(0.106, judge)).sparsity, 0.7);
});

test("an interval that reaches over the budget is not within it", async (t) => {
  const budget = Math.expm1(0.3 ** 2 + 0.01);
  t.is((await chooseSparsity(budget, judgeOf([], 0.005))).sparsity, 0.3);
  t.is((await chooseSparsity(budget, judgeOf([], 0.02))).sparsity, 0.25);
});

test("where nothing is within the budget no sparsity is chosen, and the trials say why", async (t) => {
  const { sparsity, trials } = await chooseSparsity(1e-6, judgeOf([]));
  t.is(sparsity, null);
  t.is(Math.min(...trials.map((trial) => trial.sparsity)), 0.05);
  t.false(trials.some(({ isWithin }) => isWithin));
});
