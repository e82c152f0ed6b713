import { z } from "zod";
import { describeIssues } from "../../model/files/json-file.ts";
import { between, oneOf, yesOrNo } from "./config-values.ts";

/** Share of the middle's parameters that is removed. */
export const sparsity = () => between(0, 1);

/** Rise of held-out perplexity over dense. */
export const lossIncrease = () => between(0, 10);

/** What a request does that comes before its expert is there: a shared middle answers it, or it waits. */
export const whileBuilding = () => oneOf(["general", "wait"]);

const taskSchema = z
  .strictObject({
    /** Whether the task has an expert. @default true */
    serve: yesOrNo().optional(),
    /** @default the option `expertSparsity` */
    sparsity: sparsity().optional(),
    /** @default the option `maxLossIncrease` */
    maxLossIncrease: lossIncrease().optional(),
    /** @default the option `whileBuilding` */
    whileBuilding: whileBuilding().optional(),
  })
  .refine((task) => task.sparsity === undefined || task.maxLossIncrease === undefined, {
    message: "expected one of sparsity and maxLossIncrease, got both",
  });

/** What the configuration says of one task. */
export type TaskSettings = z.output<typeof taskSchema>;

const mode = () => oneOf(["auto", "off"]);

const settingsSchema = z.strictObject({
  mode: mode().default("auto"),
  tasks: z.record(z.string(), taskSchema).default({}),
});

/** Whether tasks are served by experts, and what is special of some. */
export type ExpertSettings = z.output<typeof settingsSchema>;

/** Value of the `experts` option: `auto` or `off`; an object in a file, its JSON text elsewhere. */
export function expertSettings() {
  return z.unknown().transform((input, context): ExpertSettings => {
    const fail = (message: string): never => {
      context.addIssue(message);
      return z.NEVER;
    };
    const word = mode().safeParse(input);
    if (word.success) return { mode: word.data, tasks: {} };
    const value = typeof input === "string" ? parseJson(input) : input;
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      const got = JSON.stringify(input);
      return fail(`expected auto, off or an object such as {"tasks": {}}, got ${got}`);
    }
    const parsed = settingsSchema.safeParse(value);
    return parsed.success ? parsed.data : fail(describeIssues(parsed.error));
  });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
