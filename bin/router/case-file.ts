import { readFileSync } from "node:fs";
import { z } from "zod";
import { describeIssues } from "../../model/files/json-file.ts";
import { RouterError } from "../../router/errors.ts";

const caseSchema = z.strictObject({
  id: z.string(),
  kind: z.string(),
  task: z.string().nullable(),
  messages: z.array(z.strictObject({ role: z.string(), content: z.string() })).min(1),
});

/** A conversation and the task that it should be routed to, null for none. */
export type RoutingCase = z.infer<typeof caseSchema>;

/** @throws RouterError naming the line, what was expected and what came. */
export function readCases(path: string): RoutingCase[] {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (cause) {
    throw new RouterError(`${path}: cannot be read (${(cause as Error).message})`, { cause });
  }
  return text.split("\n").flatMap((line, index) => {
    if (line.trim() === "") return [];
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch (cause) {
      throw new RouterError(`${path}:${index + 1}: is not valid JSON`, { cause });
    }
    const parsed = caseSchema.safeParse(value);
    if (parsed.success) return [parsed.data];
    throw new RouterError(`${path}:${index + 1}: ${describeIssues(parsed.error)}`);
  });
}
