import { readFileSync } from "node:fs";
import { z } from "zod";
import { ModelLoadError } from "../errors.ts";

/**
 * Reads a JSON file that must have the given form.
 * @throws ModelLoadError when it is absent, no JSON or of another form, saying which field.
 */
export function readJsonFile<T extends z.ZodType>(path: string, schema: T): z.infer<T> {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (cause) {
    throw new ModelLoadError(path, `cannot be read (${(cause as Error).message})`, { cause });
  }
  return parseJson(path, text, schema);
}

/** `path` is for messages. @throws ModelLoadError as {@link readJsonFile}. */
export function parseJson<T extends z.ZodType>(path: string, text: string, schema: T): z.infer<T> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new ModelLoadError(path, `is not valid JSON (${(cause as Error).message})`, { cause });
  }
  const result = schema.safeParse(value);
  if (!result.success) {
    throw new ModelLoadError(path, describeIssues(result.error), { cause: result.error });
  }
  return result.data;
}

/** One line that names each wrong field, for instance `hidden_size: expected number`. */
export function describeIssues(error: z.ZodError): string {
  return error.issues
    .map(({ path, message }) => (path.length ? `${path.join(".")}: ${message}` : message))
    .join("; ");
}
