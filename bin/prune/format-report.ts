import type { Estimate } from "../../prune/scoring/intervals.ts";
import type { ExpertReport } from "../../prune/experts/expert-report.ts";
import type { BudgetTrial } from "../../prune/experts/quality-budget.ts";
import { percent, signed } from "./output.ts";

/** A report as `seap prune build` prints it. */
export function formatReport(report: ExpertReport): string {
  const { task, sparsity, recipe, heldOut, bytes, calibrationTokens, buildSeconds } = report;
  const { dense, expert, lossIncrease, kl, topAgreement } = heldOut;
  const nats = (value: number): string => value.toFixed(3);
  const megabytes = (size: number): string => `${(size / 1e6).toFixed(1)} MB`;
  const rows = [
    ["", "dense", "expert", "difference (95 % interval)"],
    [
      "perplexity",
      dense.perplexity.toFixed(2),
      expert.perplexity.toFixed(2),
      change(lossIncrease, asPerplexity),
    ],
    ["loss, nats", nats(dense.loss), nats(expert.loss), change(lossIncrease, nats)],
    ["KL to dense", "", nats(kl.value), interval(kl, nats)],
    ["same top token", "", percent(topAgreement.value), interval(topAgreement, percent)],
    [
      "middle",
      megabytes(bytes.dense),
      megabytes(bytes.expert),
      signed(percent(bytes.expert / bytes.dense - 1)),
    ],
  ];
  const took = buildSeconds === null ? "" : `, built in ${buildSeconds.toFixed(1)} s`;
  const count = (value: number): string => value.toLocaleString("en");
  return `${task}: ${percent(sparsity.middle)} of the middle is gone (${percent(sparsity.model)} of the model), method ${recipe["method"]}
  ${report.expert}
${table(rows)}  judged by ${count(heldOut.numTokens)} tokens of ${count(heldOut.numSequences)} held-out texts, calibrated with ${count(calibrationTokens)} tokens${took}
`;
}

/** What a budget led to, as `seap prune build` prints it before the report. */
export function formatBudget(
  task: string,
  trials: readonly BudgetTrial[],
  maxLossIncrease: number,
): string {
  const lines = trials
    .toSorted((a, b) => a.sparsity - b.sparsity)
    .map(
      ({ sparsity, lossIncrease, isWithin }) =>
        `  sparsity ${sparsity.toFixed(2)}: perplexity ${change(lossIncrease, asPerplexity)}` +
        `${isWithin ? "" : ", over the budget"}\n`,
    );
  const budget = `${Number((100 * maxLossIncrease).toPrecision(3))} %`;
  const head = trials.some(({ isWithin }) => isWithin)
    ? `${task}: within ${budget} of dense's perplexity`
    : `${task}: nothing tried is within ${budget} of dense's perplexity: the dense model stays`;
  return `${head}\n${lines.join("")}`;
}

/** Rise of log-perplexity as relative rise of perplexity. */
function asPerplexity(lossIncrease: number): string {
  return percent(Math.expm1(lossIncrease));
}

function change(estimate: Estimate, format: (value: number) => string): string {
  return `${signed(format(estimate.value))} ${interval(estimate, format)}`;
}

function interval({ low, high }: Estimate, format: (value: number) => string): string {
  return `(${format(low)} to ${format(high)})`;
}

/** Columns of equal width, numbers to the right. */
function table(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const last = widths.length - 1;
  return rows
    .map((row) => {
      const cells = row.map((cell, column) => {
        if (column === 0) return cell.padEnd(widths[column]!);
        return column === last ? cell : cell.padStart(widths[column]!);
      });
      return `  ${cells.join("  ").trimEnd()}\n`;
    })
    .join("");
}
