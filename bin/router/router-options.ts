import { fileURLToPath } from "node:url";
import { z } from "zod";
import { defaultFalseRejection } from "../../router/fit-clusters.ts";
import { integer, oneOf, text } from "../../server/config/config-values.ts";
import { physicalCores } from "../../server/config/physical-cores.ts";

/** From dist/bin/router/ as compiled; there in a checkout of the repository. */
const ownCases = fileURLToPath(new URL("../../../test/router/cases.jsonl", import.meta.url));

/** Above 0 and below 1. */
function share() {
  return text().transform((input, context): number => {
    const value = Number(input);
    if (value > 0 && value < 1) return value;
    context.addIssue(`expected a number above 0 and below 1, got ${JSON.stringify(input)}`);
    return z.NEVER;
  });
}

const modelShape = {
  model: text()
    .default("default")
    .describe("Model: default, a GGUF file, a model folder, or hf:org/name[:file]."),
  weights: oneOf(["q8", "q4", "f32"])
    .default("q8")
    .describe("Precision of the weights, as in seap serve."),
  threads: integer(1, 1024)
    .default(() => physicalCores())
    .describe("Threads that compute. Unset: the physical cores."),
  cacheDir: text()
    .optional()
    .describe("Folder of models and routers. Unset: the user's cache folder."),
};

const fitShape = {
  data: text()
    .optional()
    .describe(
      "Folder of <task>.jsonl corpora, lines of {prompt, response?}, {messages} or {text}. Unset: the " +
        "built-in corpora.",
    ),
  falseRejection: share()
    .default(defaultFalseRejection)
    .describe("Share of the tasks' own prompts that may be turned away."),
};

export const fitSchema = z.strictObject({
  ...fitShape,
  out: text().optional().describe("File to write the router to besides the cache folder."),
  ...modelShape,
});

export const routerEvalSchema = z.strictObject({
  data: text().describe("Folder with <task>.calib.jsonl and <task>.eval.jsonl of each task."),
  cases: text()
    .default(ownCases)
    .describe("JSONL file of {id, kind, task, messages}, for the built-in tasks."),
  rows: integer(8).default(300).describe("Most rows of a file, to fit with and to test with."),
  out: text().default("seap-router").describe("Folder for report.json and report.html."),
  falseRejection: fitShape.falseRejection,
  ...modelShape,
});

export const explainSchema = z.strictObject({
  router: text()
    .optional()
    .describe("File of a router. Unset: that of --data, or the built-in tasks'."),
  system: text().optional().describe("A system message before the prompt."),
  ...fitShape,
  ...modelShape,
});

export const proposeSchema = z.strictObject({
  out: text().describe("Folder for a corpus of each proposed task."),
  tasks: integer(2, 64)
    .optional()
    .describe("How many tasks to propose. Unset: as many as lie clearly apart."),
  ...modelShape,
});

export type RouterFitOptions = z.output<typeof fitSchema>;
export type RouterEvalOptions = z.output<typeof routerEvalSchema>;
export type ExplainOptions = z.output<typeof explainSchema>;
export type TaskProposeOptions = z.output<typeof proposeSchema>;
export type RoutedModelOptions = Pick<
  RouterFitOptions,
  "model" | "weights" | "threads" | "cacheDir"
>;
