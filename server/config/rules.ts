import { z } from "zod";
import { describeIssues } from "../../model/files/json-file.ts";

/** How a task is spelled that is none: in headers, rules, metrics and answers. */
export const noTask = "none";

const conditions = ["header", "keyword", "regex", "promptTokens"] as const;

const conditionSchema = z
  .strictObject({
    /** A header of the request with exactly this value. */
    header: z.strictObject({ name: z.string().min(1), value: z.string() }).optional(),
    /** Somewhere in the user's last message, in any case. */
    keyword: z.string().min(1).optional(),
    /** As `keyword`: a JavaScript pattern. */
    regex: z.string().min(1).transform(toRegExp).optional(),
    /** Tokens of the whole prompt, both ends included. */
    promptTokens: z
      .strictObject({ min: z.int().min(0).default(0), max: z.int().min(0).default(Infinity) })
      .refine(({ min, max }) => min <= max, "expected min to be at most max")
      .optional(),
  })
  .refine((when) => conditions.filter((name) => when[name] !== undefined).length === 1, {
    message: `expected one of ${conditions.join(", ")}`,
  });

const routingSchema = z.strictObject({
  /** The first that fits decides. */
  rules: z
    .array(
      z.strictObject({
        when: conditionSchema,
        task: z.string().min(1),
      }),
    )
    .default([]),
});

export type RoutingConfig = z.output<typeof routingSchema>;
export type RoutingRule = RoutingConfig["rules"][number];

/** Value of the `routing` option: an object in a file, JSON text elsewhere. */
export function routingRules() {
  return z.unknown().transform((input, context): RoutingConfig => {
    const fail = (message: string): never => {
      context.addIssue(message);
      return z.NEVER;
    };
    let value = input;
    if (typeof input === "string") {
      try {
        value = JSON.parse(input);
      } catch (error) {
        return fail(`expected JSON such as {"rules": []}: ${(error as Error).message}`);
      }
    }
    const parsed = routingSchema.safeParse(value);
    return parsed.success ? parsed.data : fail(describeIssues(parsed.error));
  });
}

/** What rules look at. */
export interface RuleSubject {
  /** Value of a request header. */
  readonly header: (name: string) => string | undefined;
  /** What the user says; empty where that is not known. */
  readonly text: string;
  readonly numPromptTokens: number;
}

/** The task of the first rule that fits. */
export function findRule(
  rules: readonly RoutingRule[],
  subject: RuleSubject,
): RoutingRule | undefined {
  return rules.find(({ when }) => fits(when, subject));
}

function fits(
  { header, keyword, regex, promptTokens }: RoutingRule["when"],
  subject: RuleSubject,
): boolean {
  if (header !== undefined) return subject.header(header.name) === header.value;
  if (keyword !== undefined) return subject.text.toLowerCase().includes(keyword.toLowerCase());
  if (regex !== undefined) return regex.test(subject.text);
  const { min, max } = promptTokens!;
  return subject.numPromptTokens >= min && subject.numPromptTokens <= max;
}

function toRegExp(source: string, context: z.RefinementCtx): RegExp {
  try {
    return new RegExp(source, "iu");
  } catch (error) {
    context.addIssue((error as Error).message);
    return z.NEVER;
  }
}
