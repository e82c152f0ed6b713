import { parseArgs } from "node:util";
import type { z } from "zod";
import { ConfigError } from "../server/base/config-error.ts";
import { toFlag } from "../server/config/config.ts";

export interface ParsedOptions<Schema extends z.ZodObject> {
  readonly options: z.output<Schema>;
  /** Print JSON in place of text. */
  readonly json: boolean;
  readonly positionals: readonly string[];
}

export interface ParseSettings {
  /** How many arguments are no options. @default 0 */
  readonly positionals?: number | "any";
  /** Options that may be given several times, as if separated by commas. @default none */
  readonly repeatable?: readonly string[];
}

/**
 * Options as flags, and `--json`. An option that takes `true` is a switch, without a value.
 * @param command with its subcommand, for messages
 * @throws ConfigError naming the option that does not fit and what was expected.
 */
export function parseOptions<Schema extends z.ZodObject>(
  command: string,
  schema: Schema,
  args: readonly string[],
  { positionals: numExpected = 0, repeatable = [] }: ParseSettings = {},
): ParsedOptions<Schema> {
  const keys = Object.keys(schema.shape);
  const fail = (problem: string, cause?: unknown): never => {
    throw new ConfigError(`${problem}. See seap ${command} --help.`, { cause });
  };
  const { values, positionals } = read(schema, args, numExpected !== 0, fail);
  if (numExpected !== "any" && positionals.length !== numExpected) {
    const noun = numExpected === 1 ? "argument" : "arguments";
    fail(`Expected ${numExpected} ${noun} besides options, got ${positionals.length}`);
  }
  const input: Record<string, string | true> = {};
  for (const key of keys) {
    const given = values[toFlag(key)];
    if (given === true) input[key] = given;
    if (!Array.isArray(given)) continue;
    if (given.length > 1 && !repeatable.includes(key)) {
      fail(`--${toFlag(key)}: expected once, got ${given.length} times`);
    }
    input[key] = given.join(",");
  }
  const parsed = schema.safeParse(input);
  if (parsed.success) return { options: parsed.data, json: values["json"] === true, positionals };
  const [issue] = parsed.error.issues;
  const key = String(issue?.path[0] ?? "");
  const problem = key in input ? `: ${issue?.message ?? "invalid"}` : " is missing";
  return fail(`--${toFlag(key)}${problem}`);
}

function read(
  schema: z.ZodObject,
  args: readonly string[],
  allowPositionals: boolean,
  fail: (problem: string, cause: unknown) => never,
): {
  readonly values: Readonly<Record<string, string | boolean | (string | boolean)[] | undefined>>;
  readonly positionals: readonly string[];
} {
  const flags = Object.fromEntries(
    Object.entries(schema.shape as Record<string, z.ZodType>).map(([key, option]) => [
      toFlag(key),
      isSwitch(option)
        ? ({ type: "boolean" } as const)
        : ({ type: "string", multiple: true } as const),
    ]),
  );
  try {
    return parseArgs({
      args: [...args],
      options: { ...flags, json: { type: "boolean" as const } },
      strict: true,
      allowPositionals,
    });
  } catch (error) {
    // Node's message goes on about how positional arguments could be allowed.
    return fail((error as Error).message.split(". ")[0] ?? "", error);
  }
}

/**
 * Help of a command: every option, from the schema that reads it.
 * @param usage what follows `seap`, and what the command does
 * @param unstated options whose default is the machine's or is in their description
 */
export function optionsHelp(
  usage: string,
  schema: z.ZodObject,
  unstated: readonly string[] = ["threads"],
): string {
  const rows = Object.entries(schema.shape as Record<string, z.ZodType>).map(([key, option]) => {
    const stated = unstated.includes(key) ? "" : defaultOf(option);
    return `  --${toFlag(key)}${stated}\n      ${option.description ?? ""}\n`;
  });
  return `Usage: seap ${usage}

Options:
${rows.join("")}  --json
      Print JSON in place of text.
  --help
      This text.
`;
}

function isSwitch(option: z.ZodType): boolean {
  return option.safeParse(true).success;
}

function defaultOf(option: z.ZodType): string {
  const { data } = option.safeParse(undefined);
  const isShort = typeof data === "string" || typeof data === "number" || Array.isArray(data);
  return isShort ? `  [${String(data)}]` : "";
}
