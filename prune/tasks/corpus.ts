import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { z } from "zod";
import type { TemplateMessage } from "../../model/text/chat-template.ts";
import { describeIssues } from "../../model/files/json-file.ts";
import { CorpusError } from "../errors.ts";

/** One line of a corpus: a conversation, or running text. */
export type CorpusRow =
  | { readonly kind: "chat"; readonly messages: readonly TemplateMessage[] }
  | { readonly kind: "text"; readonly text: string };

const filled = z.string().regex(/\S/, "expected text, came blank");
const message = z.looseObject({ role: z.string().min(1), content: z.string() });

// Other fields of a row, such as an id, are the user's own.
const forms = {
  prompt: z.looseObject({ prompt: filled, response: filled.nullish() }),
  messages: z.looseObject({ messages: z.array(message).min(1) }),
  text: z.looseObject({ text: z.string() }),
};

const expected = `expected {"prompt", "response"?}, {"messages"} or {"text"}`;

/**
 * Reads a corpus of one JSON object a line; blank lines are passed over.
 * @throws CorpusError naming the file, the line, what was expected and what came.
 */
export function readCorpusFile(path: string): CorpusRow[] {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (cause) {
    throw new CorpusError(`${path}: cannot be read (${(cause as Error).message})`, { cause });
  }
  const rows = parseCorpus(path, text);
  if (rows.length === 0) throw new CorpusError(`${path}: has no rows, ${expected} in each line`);
  return rows;
}

/** `name` is for messages. @throws CorpusError as {@link readCorpusFile}. */
export function parseCorpus(name: string, text: string): CorpusRow[] {
  return text.split("\n").flatMap((line, index) => {
    if (line.trim() === "") return [];
    const fail = (problem: string): never => {
      throw new CorpusError(`${name}:${index + 1}: ${problem}`);
    };
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch (cause) {
      return fail(`is not valid JSON (${(cause as Error).message}), ${expected}`);
    }
    return [parseRow(value, fail)];
  });
}

function parseRow(value: unknown, fail: (problem: string) => never): CorpusRow {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return fail(`${expected}, came ${Array.isArray(value) ? "an array" : JSON.stringify(value)}`);
  }
  const present = Object.keys(forms).filter((form) => form in value);
  if (present.length !== 1) {
    const came = present.length > 0 ? present : Object.keys(value);
    return fail(`${expected}, came the fields ${came.join(", ") || "none"}`);
  }
  const check = <T extends z.ZodType>(schema: T): z.infer<T> => {
    const parsed = schema.safeParse(value);
    return parsed.success ? parsed.data : fail(describeIssues(parsed.error));
  };
  if ("text" in value) return { kind: "text", text: check(forms.text).text };
  if ("messages" in value) return { kind: "chat", messages: check(forms.messages).messages };
  const { prompt, response } = check(forms.prompt);
  const messages = [{ role: "user", content: prompt }];
  if (response != null) messages.push({ role: "assistant", content: response });
  return { kind: "chat", messages };
}

/**
 * Divides rows into those to calibrate with and those held out to judge the result. A row's side depends
 * on its content alone, so it stays when others come and go, and equal rows never part.
 * @param heldOutShare 0 to 1, of the rows on average
 */
export function splitCorpus(
  rows: readonly CorpusRow[],
  heldOutShare: number,
): { readonly calibration: CorpusRow[]; readonly heldOut: CorpusRow[] } {
  const [calibration, heldOut]: [CorpusRow[], CorpusRow[]] = [[], []];
  for (const row of rows) (hashShare(row) < heldOutShare ? heldOut : calibration).push(row);
  return { calibration, heldOut };
}

/** A number from 0 to 1 that follows from the row's content. */
function hashShare(row: CorpusRow): number {
  const digest = createHash("sha256").update(JSON.stringify(row)).digest();
  return digest.readUInt32BE(0) / 2 ** 32;
}
