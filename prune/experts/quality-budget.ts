import type { Estimate } from "../scoring/intervals.ts";

/** A sparsity that was tried. */
export interface BudgetTrial {
  /** Target: share of the middle's parameters that is removed. */
  readonly sparsity: number;
  /** Rise of held-out log-perplexity over dense, nats a token. */
  readonly lossIncrease: Estimate;
  readonly isWithin: boolean;
}

export interface BudgetChoice {
  /** Null when none is within the budget: the dense model stays. */
  readonly sparsity: number | null;
  /** In the order in which they were tried. */
  readonly trials: readonly BudgetTrial[];
}

/** 5 % to 70 % in steps of 5 %. */
export const budgetGrid: readonly number[] = Array.from({ length: 14 }, (_, i) => (i + 1) / 20);

/**
 * The largest sparsity whose held-out perplexity stays within a budget, by bisection: a sparsity above one
 * that does not is taken not to either. The upper end of the interval must be within, so that chance does
 * not let an expert in.
 * @param maxLossIncrease relative rise of perplexity, 0.05 for 5 %
 * @param judge tries a sparsity; asked at most once for each
 * @param grid ascending
 */
export async function chooseSparsity(
  maxLossIncrease: number,
  judge: (sparsity: number) => Promise<Estimate>,
  grid: readonly number[] = budgetGrid,
): Promise<BudgetChoice> {
  const limit = Math.log1p(maxLossIncrease);
  const trials: BudgetTrial[] = [];
  // All below `low` are within, all from `high` on are not.
  let [low, high] = [0, grid.length];
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    const sparsity = grid[middle]!;
    const lossIncrease = await judge(sparsity);
    const isWithin = lossIncrease.high <= limit;
    trials.push({ sparsity, lossIncrease, isWithin });
    if (isWithin) low = middle + 1;
    else high = middle;
  }
  return { sparsity: low === 0 ? null : grid[low - 1]!, trials };
}
