import { markdownTable } from "../../bin/reports/markdown-table.ts";
import { series } from "./verdict.ts";
import type { SeriesVerdict } from "./verdict.ts";

export interface SoakReport {
  readonly machine: string;
  readonly minutes: number;
  /** How often each kind of thing was done, and what went wrong. */
  readonly done: Readonly<Record<string, number>>;
  readonly problems: readonly string[];
  readonly verdicts: readonly SeriesVerdict[];
}

export function passes({ problems, verdicts }: SoakReport): boolean {
  return problems.length === 0 && verdicts.every(({ isFlat }) => isFlat);
}

const maxShown = 10;

export function formatSoak(report: SoakReport): string {
  const { machine, minutes, done, problems, verdicts } = report;
  const counts = Object.entries(done).map(([kind, count]) => `${count} ${kind}`);
  const rows = verdicts.map((verdict) => [
    series[verdict.name].title,
    ...[verdict.first, verdict.second, verdict.growth, verdict.allowed, verdict.slopePerHour].map(
      (value) => value.toFixed(1),
    ),
    verdict.isFlat ? "flat" : "grows",
  ]);
  const table = markdownTable([
    [
      ...["", "median, 1st half", "2nd half", "growth over the 2nd half", "allowed"],
      ...["an hour", "verdict"],
    ],
    ...rows,
  ]);
  const shown = problems.slice(0, maxShown).map((problem) => `- ${problem}`);
  const more = problems.length > maxShown ? [`- and ${problems.length - maxShown} more`] : [];
  return [
    `${machine}; ${minutes} minutes: ${counts.join(", ")}.`,
    "",
    table,
    "",
    `${problems.length} problems${problems.length > 0 ? ":" : "."}`,
    ...shown,
    ...more,
    passes(report) ? "Passed." : "Failed.",
    "",
  ].join("\n");
}
