import { z } from "zod";
import { builtinTasks } from "../../prune/tasks/builtin-tasks.ts";
import { defaultMethod, isGeneralMethod, methods } from "../../prune/choice/recipe.ts";
import { generalTask } from "../../prune/calibration/task-profiles.ts";
import { ConfigError } from "../../server/base/config-error.ts";
import { integer, oneOf, text, textList } from "../../server/config/config-values.ts";
import { physicalCores } from "../../server/config/physical-cores.ts";

/** As used in model names and as a metric label. */
const taskPattern = /^[a-z][a-z0-9_-]{0,31}$/;
const reservedNames = ["all", "dense", generalTask];

const builtinNames = builtinTasks.map(({ name }) => name);

/** Above 0 and below 1, or to `max`. */
function share(max = 1) {
  return text().transform((input, context): number => {
    const value = Number(input);
    if (value > 0 && value < max) return value;
    context.addIssue(`expected a number above 0 and below ${max}, got ${JSON.stringify(input)}`);
    return z.NEVER;
  });
}

function shard() {
  return text().transform((input, context): { readonly index: number; readonly count: number } => {
    const [, number, count] = (/^([1-9]\d*)\/([1-9]\d*)$/.exec(input) ?? []).map(Number);
    if (number !== undefined && count !== undefined && number <= count) {
      return { index: number - 1, count };
    }
    context.addIssue(`expected a part such as 1/4, up to 4/4, got ${JSON.stringify(input)}`);
    return z.NEVER;
  });
}

const cacheDir = text()
  .optional()
  .describe("Folder of models, profiles and experts. Unset: the user's cache folder.");

const modelShape = {
  task: textList().describe(
    `Tasks, separated by commas: ${builtinNames.join(", ")}; all for each of these; general for one ` +
      "expert of them together; or a name of your own with --corpus.",
  ),
  corpus: text()
    .optional()
    .describe("JSONL file of the task, lines of {prompt, response?}, {messages} or {text}."),
  tokens: integer(1)
    .default(32_000)
    .describe("Tokens to calibrate with; where the corpus has fewer, the model writes answers."),
  model: text()
    .default("default")
    .describe("Model: default, a GGUF file, a model folder, or hf:org/name[:file]."),
  threads: integer(1, 1024)
    .default(() => physicalCores())
    .describe("Threads that compute. Unset: the physical cores."),
  cacheDir,
  progress: oneOf(["bar", "json"])
    .default("bar")
    .describe("How progress is shown on stderr: bar, or json for an object a line."),
};

export const calibrateSchema = z.strictObject({
  ...modelShape,
  shard: shard()
    .optional()
    .describe("Part of the corpus to read, such as 1/4: several machines share the work."),
});

export const buildSchema = z.strictObject({
  ...modelShape,
  sparsity: share().optional().describe("Share of the middle's parameters to remove, such as 0.3."),
  maxLossIncrease: share(10)
    .optional()
    .describe(
      "In place of --sparsity: the largest that raises held-out perplexity by no more than this " +
        "share, such as 0.05 for 5 %.",
    ),
  method: oneOf(methods)
    .default(defaultMethod)
    .describe(
      `How to choose what goes: one of ${methods.join(", ")}; those ending in -general are for the ` +
        "task general.",
    ),
  weights: oneOf(["q8", "q4", "f32"]).default("q8").describe("Precision of the expert's weights."),
});

export const mergeSchema = z.strictObject({ cacheDir });
export const tasksSchema = z.strictObject({});

export type CalibrateOptions = z.output<typeof calibrateSchema>;
export type BuildFlags = z.output<typeof buildSchema>;
/** What calibrating and building have in common. */
export type ModelOptions = Omit<CalibrateOptions, "shard">;

/**
 * What the method is for has to be what was asked for.
 * @throws ConfigError naming the methods that fit.
 */
export function checkMethod({ task, method }: Pick<BuildFlags, "task" | "method">): void {
  for (const name of task) {
    const isGeneral = name === generalTask;
    if (isGeneral === isGeneralMethod(method)) continue;
    const fitting = methods.filter((each) => isGeneralMethod(each) === isGeneral);
    throw new ConfigError(
      `--method: expected one of ${fitting.join(", ")} for task ${name}, got ${method}.`,
    );
  }
}

/**
 * Names of the tasks that were asked for, each once.
 * @throws ConfigError for a task that is not built in and has no corpus, or a corpus for several.
 */
export function taskNames({ task, corpus }: Pick<ModelOptions, "task" | "corpus">): string[] {
  const names = [...new Set(task.flatMap((name) => (name === "all" ? builtinNames : [name])))];
  if (corpus !== undefined && (names.length !== 1 || task.includes("all"))) {
    throw new ConfigError(`--corpus: expected one --task that it is of, got ${task.join(", ")}.`);
  }
  for (const name of names) {
    if (builtinNames.includes(name) || (name === generalTask && corpus === undefined)) continue;
    if (reservedNames.includes(name) || !taskPattern.test(name)) {
      throw new ConfigError(
        `--task: expected a name of lower-case letters, digits, - and _, other than ` +
          `${reservedNames.join(", ")}, got ${JSON.stringify(name)}.`,
      );
    }
    if (corpus === undefined) {
      throw new ConfigError(
        `--task: ${JSON.stringify(name)} is not built in, expected --corpus with it, or one of ` +
          `${builtinNames.join(", ")}.`,
      );
    }
  }
  return names;
}
