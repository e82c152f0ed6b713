import { fileURLToPath } from "node:url";
import { z } from "zod";
import { scoredTaskNames, taskNames } from "../../prune/evaluation/read-tasks.ts";
import { methods } from "../../prune/choice/recipe.ts";
import type { Method } from "../../prune/choice/recipe.ts";
import { integer, oneOf, text, textList } from "../../server/config/config-values.ts";
import { parseOptions } from "../command-options.ts";
import { physicalCores } from "../../server/config/physical-cores.ts";

/** Beside the package; from dist/bin/eval/ as compiled. */
const defaultDataDir = fileURLToPath(new URL("../../../../shared/data", import.meta.url));

const methodNames = ["dense", ...methods];

/** Names out of a known list, each once. */
function namesOf(kind: string, known: readonly string[]) {
  return textList().transform((names, context): string[] => {
    for (const name of names) {
      if (known.includes(name)) continue;
      context.addIssue(
        `there is no ${kind} ${JSON.stringify(name)}, expected some of ${known.join(", ")}`,
      );
      return z.NEVER;
    }
    return [...new Set(names)];
  });
}

function sparsityList() {
  return textList().transform((items, context): number[] => {
    for (const item of items) {
      const value = Number(item);
      if (value > 0 && value < 1) continue;
      context.addIssue(
        "expected shares above 0 and below 1, separated by commas, such as 0.2,0.5; " +
          `got ${JSON.stringify(item)}`,
      );
      return z.NEVER;
    }
    return [...new Set(items.map(Number))].sort((a, b) => a - b);
  });
}

/** Every option of `seap eval` that has a value; its description is what `--help` prints. */
export const evalSchema = z.strictObject({
  tasks: namesOf("task", taskNames)
    .default([...scoredTaskNames])
    .describe(
      `What to measure, separated by commas: ${taskNames.join(", ")}. gsm8k_generate lets every ` +
        "middle write its solutions, which takes minutes for each.",
    ),
  methods: namesOf("method", methodNames)
    .default(methodNames)
    .transform((names) => names.filter((name): name is Method => name !== "dense"))
    .describe(
      `Recipes to compare, separated by commas: ${methodNames.join(", ")}. Each task is answered by ` +
        "its own expert, by methods ending in -general by one for all tasks. dense is always there.",
    ),
  sparsity: sparsityList()
    .default([0.2, 0.3, 0.5])
    .describe("Shares of the middle's parameters to remove, separated by commas."),
  rows: integer(1).default(300).describe("Most rows of a task; the same for all methods."),
  data: text()
    .default(defaultDataDir)
    .describe("Folder with <task>.eval.jsonl and <task>.calib.jsonl of each task."),
  out: text().default("seap-eval").describe("Folder for report.json, report.md and report.html."),
  tokens: integer(1).default(32_000).describe("Most tokens to calibrate a task's experts with."),
  threads: integer(1, 1024)
    .default(() => physicalCores())
    .describe("Threads that compute. Unset: the physical cores."),
  weights: oneOf(["q8", "q4", "f32"])
    .default("q8")
    .describe("Precision of the weights, dense and pruned."),
  model: text()
    .default("default")
    .describe("Model: default, a GGUF file, a model folder, or hf:org/name[:file]."),
  cacheDir: text()
    .optional()
    .describe("Folder of models, experts and measurements. Unset: the user's cache folder."),
});

export type EvalOptions = z.output<typeof evalSchema> & {
  /** Print JSON in place of the table. */
  readonly json: boolean;
};

/** @throws ConfigError naming the option that does not fit and what was expected. */
export function parseEvalOptions(args: readonly string[]): EvalOptions {
  const { options, json } = parseOptions("eval", evalSchema, args);
  return { ...options, json };
}
