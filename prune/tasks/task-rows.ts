import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { z } from "zod";
import { describeIssues } from "../../model/files/json-file.ts";
import { EvaluationError } from "./errors.ts";

export interface RowsOptions {
  /** Folder with the files of the tasks. */
  readonly dataDir: string;
  /** Most rows to take: the first ones, as files are shuffled. */
  readonly maxRows: number;
}

/**
 * Rows of a JSONL file, one object a line.
 * @throws EvaluationError when the file is absent or a line has another form, saying which field.
 */
export function readRows<T extends z.ZodType>(
  fileName: string,
  schema: T,
  { dataDir, maxRows }: RowsOptions,
): z.infer<T>[] {
  const path = join(dataDir, fileName);
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (cause) {
    throw new EvaluationError(
      `${path} cannot be read (${(cause as Error).message}); expected the rows of a task there.`,
      { cause },
    );
  }
  const rows: z.infer<T>[] = [];
  for (const [index, line] of text.split("\n").entries()) {
    if (rows.length === maxRows) break;
    if (line.trim() === "") continue;
    rows.push(parseLine(`${path}:${index + 1}`, line, schema));
  }
  return rows;
}

function parseLine<T extends z.ZodType>(place: string, line: string, schema: T): z.infer<T> {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (cause) {
    throw new EvaluationError(`${place} is not valid JSON (${(cause as Error).message}).`, {
      cause,
    });
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new EvaluationError(`${place}: ${describeIssues(parsed.error)}`, { cause: parsed.error });
}
