import type { Estimate } from "../../prune/scoring/intervals.ts";
import {
  meanAccuracy,
  meanDifference,
  meanOfTexts,
  methodLabel,
  shownAccuracy,
} from "../../prune/evaluation/result.ts";
import type { Table } from "./html.ts";
import { markdownTable } from "./markdown-table.ts";
import type { EvaluationResult, MethodResult, TaskResult } from "../../prune/evaluation/result.ts";

/** A row per method and a column per task: the overview, then intervals and differences to dense by task. */
export function reportTables(result: EvaluationResult): { title: string; table: Table }[] {
  const tables = [{ title: "Overview", table: overviewTable(result) }];
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

/** All that a terminal shows. */
export function formatOverview(result: EvaluationResult): string {
  return `${markdownTable(overviewTable(result))}\n`;
}

/** For tools: everything, a line for each plan, with a line feed at the end. */
export function formatJson(result: EvaluationResult): string {
  const { plans, ...rest } = result;
  const head = JSON.stringify(rest, null, 2).replace(/\n}$/, "");
  const lines = plans.map((plan) => `\n    ${JSON.stringify(plan)}`).join(",");
  return `${head},\n  "plans": [${lines}${lines && "\n  "}]\n}\n`;
}

/** Every method in a row: mean accuracy and its tasks, perplexities, distance from dense, what it costs. */
function overviewTable({ methods }: EvaluationResult): Table {
  const share = (value: number): string => (100 * value).toFixed(1);
  const columns: [header: string, cell: (method: MethodResult) => string | null][] = [
    ["method", methodLabel],
    ["mean accuracy, %", (method) => mapped(meanAccuracy(method), percent)],
    ["to dense, points", (method) => mapped(meanDifference(method, "choice"), points)],
    ...taskColumns(methods, "choice", (task) =>
      task.kind === "choice" ? share(shownAccuracy(task).value) : "",
    ),
    ...taskColumns(methods, "generation", (task) =>
      task.kind === "generation"
        ? `${share(task.strict.value)}, ${share(task.flexible.value)}`
        : "",
    ),
    ...taskColumns(methods, "text", (task) =>
      task.kind === "text" ? task.perplexity.value.toFixed(2) : "",
    ),
    [
      "rise of log-perplexity",
      (method) => mapped(meanDifference(method, "text"), (rise) => interval(rise, 3)),
    ],
    ["KL", (method) => mapped(meanOfTexts(method, "kl"), ({ value }) => value.toFixed(3))],
    [
      "agreement, %",
      (method) => mapped(meanOfTexts(method, "agreement"), ({ value }) => share(value)),
    ],
    ["sparsity of middle, %", ({ trueSparsity }) => share(trueSparsity.middle)],
    ["of blocks", ({ trueSparsity }) => share(trueSparsity.blocks)],
    ["of model", ({ trueSparsity }) => share(trueSparsity.model)],
    ["MB", ({ sizeBytes }) => (sizeBytes / 1e6).toFixed(1)],
    ["build, s", ({ buildSeconds }) => buildSeconds?.toFixed(1) ?? null],
  ];
  const cells = columns.map(([header, cell]) => [
    header,
    ...methods.map((method) => cell(method) ?? none),
  ]);
  // Columns that nothing was measured for say nothing.
  const filled = cells.filter(([, ...column]) => column.some((value) => value !== none));
  return Array.from({ length: methods.length + 1 }, (_, row) =>
    filled.map((column) => column[row]!),
  );
}

/** A column for each task of a kind. */
function taskColumns(
  methods: readonly MethodResult[],
  kind: TaskResult["kind"],
  cell: (task: TaskResult) => string,
): [string, (method: MethodResult) => string | null][] {
  return taskNamesOf(methods, kind).map((name) => [
    kind === "text" ? `${name}, perplexity` : name,
    ({ tasks }) => mapped(tasks.find((t) => t.kind === kind && t.task === name) ?? null, cell),
  ]);
}

/** Of tasks of a kind, in the order in which they come. */
export function taskNamesOf(methods: readonly MethodResult[], kind: TaskResult["kind"]): string[] {
  const names = methods.flatMap(({ tasks }) =>
    tasks.filter((task) => task.kind === kind).map(({ task }) => task),
  );
  return [...new Set(names)];
}

function mapped<T>(value: T | null, format: (value: T) => string): string | null {
  return value === null ? null : format(value);
}

function taskTable(
  { methods }: EvaluationResult,
  kind: TaskResult["kind"],
  cell: (task: TaskResult) => string | null,
): Table {
  const names = taskNamesOf(methods, kind);
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
