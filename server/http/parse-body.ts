import type { z } from "zod";
import { InvalidRequestError, quote } from "../base/errors.ts";

/**
 * A JSON body as an object without its null fields: null means absent in the OpenAI protocol.
 * @throws InvalidRequestError when the body is not an object.
 */
export function withoutNulls(body: unknown): Record<string, unknown> {
  if (typeof body !== "object" || body === null || Array.isArray(body)) {
    throw new InvalidRequestError("The request body must be a JSON object.");
  }
  return Object.fromEntries(Object.entries(body).filter(([, value]) => value !== null));
}

/** @throws InvalidRequestError naming the first field that does not fit. */
export function validate<T>(schema: z.ZodType<T>, body: Record<string, unknown>): T {
  const result = schema.safeParse(body);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  const path = issue?.path ?? [];
  const param = path.reduce<string>((text, key) => {
    return typeof key === "number" ? `${text}[${key}]` : `${text}${text && "."}${String(key)}`;
  }, "");
  const problem = (issue?.message ?? "invalid").replace(/^Invalid input: /, "");
  throw new InvalidRequestError(`${param}: ${problem}${received(body, path)}`, param);
}

function received(body: unknown, path: readonly PropertyKey[]): string {
  let value = body;
  for (const key of path) value = (value as Record<PropertyKey, unknown> | undefined)?.[key];
  if (typeof value === "number" || typeof value === "boolean") return ` (got ${value})`;
  return typeof value === "string" ? ` (got ${quote(value)})` : "";
}
