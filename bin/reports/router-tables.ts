import { markdownTable } from "./markdown-table.ts";
import type { Table } from "./html.ts";
import type { RouterResult } from "../../router/evaluation.ts";

export function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}

/** One line per router. */
export function summaryTable(results: readonly RouterResult[]): Table {
  const area = (value: number | null): string => (value === null ? "–" : value.toFixed(3));
  return [
    [
      "suite",
      "router",
      "prompts",
      "accuracy",
      "macro-F1",
      "right task",
      "wrong task",
      "falsely rejected",
      "AUROC",
      "mean AUROC",
      "µs each",
    ],
    ...results.map(
      ({ suite, kind, accuracy, macroF1, rightTask, wrongTask, sets, rejection, ...rest }) => [
        suite,
        kind,
        String(sets.reduce((sum, { numRows }) => sum + numRows, 0)),
        percent(accuracy),
        percent(macroF1),
        percent(rightTask),
        percent(wrongTask),
        percent(rejection.falseRejection),
        area(rejection.auroc),
        area(rejection.meanAuroc),
        rest.microsecondsPerDecision.toFixed(0),
      ],
    ),
  ];
}

export function setTable({ sets }: RouterResult): Table {
  return [
    ["prompts of", "task", "number", "accuracy", "falsely rejected"],
    ...sets.map(({ name, task, numRows, accuracy, falseRejection }) => [
      name,
      task,
      String(numRows),
      percent(accuracy),
      percent(falseRejection),
    ]),
  ];
}

/** Null where no prompts were of none of the tasks. */
export function foreignTable({ rejection: { sets } }: RouterResult): Table | null {
  if (sets.length === 0) return null;
  return [
    ["prompts of none of the tasks", "number", "AUROC", "rejected"],
    ...sets.map(({ name, numRows, auroc, rejected }) => [
      name,
      String(numRows),
      auroc.toFixed(3),
      percent(rejected),
    ]),
  ];
}

/** Null where nothing was confused. */
export function pairTable({ confusedPairs }: RouterResult): Table | null {
  if (confusedPairs.length === 0) return null;
  return [
    ["task", "taken for", "prompts", "share"],
    ...confusedPairs.map(({ label, takenFor, numRows, share }) => [
      label,
      takenFor,
      String(numRows),
      percent(share),
    ]),
  ];
}

/** As Markdown: the summary, and what each router confuses most. */
export function formatRouterTable(results: readonly RouterResult[]): string {
  const parts = [`${markdownTable(summaryTable(results))}\n`];
  for (const result of results) {
    const tables = [setTable(result), foreignTable(result), pairTable(result)];
    parts.push(
      `${result.suite}, ${result.kind}:\n`,
      ...tables.flatMap((table) => (table === null ? [] : [`${markdownTable(table)}\n`])),
    );
  }
  return parts.join("\n");
}
