import { percent, signed } from "../prune/output.ts";
import type { ExpertList, ListedExpert } from "./server-client.ts";

type Column = readonly [title: string, cell: (expert: ListedExpert, nowMs: number) => string];

const nothing = "–";

const columns: readonly Column[] = [
  ["EXPERT", ({ id }) => id],
  ["STATE", ({ state }) => state],
  ["MEMORY", ({ resident_bytes: bytes }) => (bytes === 0 ? nothing : mebibytes(bytes))],
  ["RUNNING", ({ running }) => String(running)],
  ["HITS", ({ hits }) => String(hits)],
  ["MISSES", ({ misses }) => String(misses)],
  ["EVICTED", ({ evictions }) => String(evictions)],
  ["SPARSITY", ({ sparsity }) => (sparsity === null ? nothing : percent(sparsity))],
  ["LOSS", ({ held_out_loss_increase: loss }) => (loss === null ? nothing : signed(percent(loss)))],
  ["KL", ({ shadow }) => (shadow === null ? nothing : shadow.kl.toFixed(3))],
  ["USED", ({ last_used_at: at }, nowMs) => (at === null ? nothing : ago(nowMs - Date.parse(at)))],
  ["", note],
];

/**
 * What `seap experts` prints: a line on memory, then a table.
 * @param nowMs since the epoch
 */
export function formatExperts(list: ExpertList, nowMs: number): string {
  const { data, memory_used_bytes: used, memory_budget_bytes: budget } = list;
  if (data.length === 0) return "Experts are off.\n";
  const rows = [
    columns.map(([title]) => title),
    ...data.map((expert) => columns.map(([, cell]) => cell(expert, nowMs))),
  ];
  const widths = columns.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const lines = rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join("  ")
      .trimEnd(),
  );
  return `Experts take ${mebibytes(used)} of ${mebibytes(budget)}.\n\n${lines.join("\n")}\n`;
}

/** One expert in a line: what it is doing. */
export function describeExpert(expert: ListedExpert): string {
  const more = note(expert);
  return `${expert.id}: ${expert.state}${more === "" ? "" : ` (${more})`}`;
}

function note({ progress, problem }: ListedExpert): string {
  if (progress !== null) return `${progress.phase} ${Math.floor(progress.share * 100)} %`;
  return problem ?? "";
}

function mebibytes(bytes: number): string {
  return `${Math.round(bytes / 2 ** 20)} MiB`;
}

function ago(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 120) return `${seconds} s ago`;
  const minutes = Math.round(seconds / 60);
  return minutes < 120 ? `${minutes} min ago` : `${Math.round(minutes / 60)} h ago`;
}
