import test from "ava";
import { formatBudget, formatReport } from "../../bin/prune/format-report.ts";
import type { ExpertReport } from "../../prune/experts/expert-report.ts";

const rise = (value: number) => ({ value, low: value - 0.01, high: value + 0.01 });

test("a report is a short table of what the expert costs and saves", (t) => {
  const report: ExpertReport = {
    schemaVersion: 1,
    expert: "expert-1",
    model: "hash",
    task: "code",
    recipe: { method: "seap", target: 0.3 },
    sparsity: { middle: 0.301, blocks: 0.26, model: 0.199 },
    calibrationTokens: 32_000,
    bytes: { dense: 120_000_000, expert: 84_000_000 },
    buildSeconds: 31.24,
    heldOut: {
      hash: "hash",
      numSequences: 40,
      numTokens: 8123,
      dense: { loss: 1, perplexity: Math.E },
      expert: { loss: 1.1, perplexity: Math.exp(1.1) },
      lossIncrease: rise(0.1),
      kl: rise(0.09),
      topAgreement: rise(0.85),
    },
  };
  t.is(
    formatReport(report),
    `code: 30.1 % of the middle is gone (19.9 % of the model), method seap
  expert-1
                     dense   expert  difference (95 % interval)
  perplexity          2.72     3.00  +10.5 % (9.4 % to 11.6 %)
  loss, nats         1.000    1.100  +0.100 (0.090 to 0.110)
  KL to dense                 0.090  (0.080 to 0.100)
  same top token             85.0 %  (84.0 % to 86.0 %)
  middle          120.0 MB  84.0 MB  -30.0 %
  judged by 8,123 tokens of 40 held-out texts, calibrated with 32,000 tokens, built in 31.2 s
`,
  );
});

test("a budget shows what was tried by rising sparsity, and what was over it", (t) => {
  const trials = [
    { sparsity: 0.4, lossIncrease: rise(0.1), isWithin: false },
    { sparsity: 0.2, lossIncrease: rise(0.02), isWithin: true },
  ];
  t.is(
    formatBudget("code", trials, 0.05),
    `code: within 5 % of dense's perplexity
  sparsity 0.20: perplexity +2.0 % (1.0 % to 3.0 %)
  sparsity 0.40: perplexity +10.5 % (9.4 % to 11.6 %), over the budget
`,
  );
});

test("where nothing is within the budget it says that the dense model stays", (t) => {
  const trials = [{ sparsity: 0.05, lossIncrease: rise(0.1), isWithin: false }];
  t.regex(
    formatBudget("code", trials, 0.015),
    /^code: nothing tried is within 1\.5 % of dense's perplexity: the dense model stays\n/,
  );
});
