import type { Estimate } from "./intervals.ts";
import { meanAccuracy, meanDifference, methodLabel, shownAccuracy } from "./result.ts";
import type { EvaluationResult, MethodResult, TaskResult } from "./result.ts";

/** A table row per method and column per task, as cells of text; the first row is the header. */
export type ReportTable = readonly (readonly string[])[];

/** Accuracy, loss and size of every method, with intervals and differences to dense. */
export function reportTables(result: EvaluationResult): { title: string; table: ReportTable }[] {
  const tables = [{ title: "Summary", table: summaryTable(result) }];
  const kinds = new Set(result.methods.flatMap(({ tasks }) => tasks.map(({ kind }) => kind)));
  if (kinds.has("choice")) {
    tables.push({
      title: "Accuracy, %",
      table: taskTable(result, "choice", (task) =>
        task.kind === "choice" ? percent(shownAccuracy(task)) : "",
      ),
    });
    tables.push({
      title: "Accuracy, difference to dense in points",
      table: taskTable(result, "choice", ({ difference }) => difference && points(difference)),
    });
  }
  if (kinds.has("text")) {
    tables.push({
      title: "Perplexity",
      table: taskTable(result, "text", (task) =>
        task.kind === "text" ? interval(task.perplexity, 2) : "",
      ),
    });
    tables.push({
      title: "Rise of log-perplexity over dense",
      table: taskTable(result, "text", ({ difference }) => difference && interval(difference, 3)),
    });
    tables.push({
      title: "KL from dense (nats) and agreement with its most likely token (%)",
      table: taskTable(result, "text", (task) =>
        task.kind === "text" && task.kl && task.agreement
          ? `${task.kl.value.toFixed(3)}, ${(100 * task.agreement.value).toFixed(1)}`
          : null,
      ),
    });
  }
  if (kinds.has("generation")) {
    tables.push({
      title: "Exact match, % (number after ####, last number)",
      table: taskTable(result, "generation", (task) =>
        task.kind === "generation" ? `${percent(task.strict)}, ${percent(task.flexible)}` : "",
      ),
    });
  }
  return tables;
}

/** The tables as a Markdown page. */
export function formatMarkdown(result: EvaluationResult): string {
  const sections = reportTables(result).map(
    ({ title, table }) => `## ${title}\n\n${markdownTable(table)}`,
  );
  return `# ${reportTitle(result)}\n\n${reportNote(result)}\n\n${sections.join("\n\n")}\n`;
}

export function reportTitle({ model }: EvaluationResult): string {
  return `Evaluation of ${model.name}`;
}

export function reportNote({ maxRows }: EvaluationResult): string {
  return (
    `At most ${maxRows} rows a task, the same for all methods. Brackets: 95 % confidence, ` +
    "differences paired by row. Sparsity: share of parameters that are gone."
  );
}

/** For tools: everything, with a line feed at the end. */
export function formatJson(result: EvaluationResult): string {
  return `${JSON.stringify(result, null, 2)}\n`;
}

function summaryTable({ methods }: EvaluationResult): ReportTable {
  const share = (value: number): string => (100 * value).toFixed(1);
  const row = (method: MethodResult): string[] => {
    const { trueSparsity, sizeBytes, buildSeconds } = method;
    const accuracy = meanAccuracy(method);
    const [accuracyChange, rise] = [
      meanDifference(method, "choice"),
      meanDifference(method, "text"),
    ];
    return [
      methodLabel(method),
      ...[trueSparsity.middle, trueSparsity.blocks, trueSparsity.model].map(share),
      accuracy ? percent(accuracy) : none,
      accuracyChange ? points(accuracyChange) : none,
      rise ? interval(rise, 3) : none,
      (sizeBytes / 1e6).toFixed(1),
      buildSeconds === null ? none : buildSeconds.toFixed(1),
    ];
  };
  const header = [
    "method",
    "sparsity of middle, %",
    "of blocks",
    "of model",
    "mean accuracy, %",
    "to dense, points",
    "rise of log-perplexity",
    "MB",
    "build, s",
  ];
  return [header, ...methods.map(row)];
}

function taskTable(
  { methods }: EvaluationResult,
  kind: TaskResult["kind"],
  cell: (task: TaskResult) => string | null,
): ReportTable {
  const names = [
    ...new Set(
      methods.flatMap(({ tasks }) => tasks.filter((t) => t.kind === kind).map((t) => t.task)),
    ),
  ];
  const rows = methods.map((method) => [
    methodLabel(method),
    ...names.map((name) => {
      const task = method.tasks.find((t) => t.kind === kind && t.task === name);
      return (task && cell(task)) ?? none;
    }),
  ]);
  return [["method", ...names], ...rows];
}

const none = "–";

function interval({ value, low, high }: Estimate, digits: number): string {
  return `${value.toFixed(digits)} [${low.toFixed(digits)}, ${high.toFixed(digits)}]`;
}

function percent({ value, low, high }: Estimate): string {
  return interval({ value: 100 * value, low: 100 * low, high: 100 * high }, 1);
}

/** With its sign. */
function points(difference: Estimate): string {
  return `${difference.value > 0 ? "+" : ""}${percent(difference)}`;
}

function markdownTable([header, ...rows]: ReportTable): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  const rule = header!.map((_, column) => (column === 0 ? "---" : "---:"));
  return [line(header!), line(rule), ...rows.map(line)].join("\n");
}
