import type { Table } from "./html.ts";

/** Numbers stand to the right, what they are of in the first column to the left. */
export function markdownTable([header, ...rows]: Table): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  const rule = header!.map((_, column) => (column === 0 ? "---" : "---:"));
  return [line(header!), line(rule), ...rows.map(line)].join("\n");
}
