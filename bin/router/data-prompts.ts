import { readFileSync } from "node:fs";
import { z } from "zod";
import { describeIssues } from "../../model/files/json-file.ts";
import { RouterError } from "../../router/errors.ts";
import type { Conversation } from "./routed-prompt.ts";

/**
 * How a row is asked: `template` as the SEAP paper does, with "Question:", lettered options and "Answer:";
 * `bare` the question alone.
 */
export type PromptForm = "template" | "bare";

const rowSchema = z.looseObject({
  prompt: z.string().optional(),
  question: z.string().optional(),
  question_stem: z.string().optional(),
  sentence: z.string().optional(),
  query: z.string().optional(),
  ctx: z.string().optional(),
  goal: z.string().optional(),
  passage: z.string().optional(),
  premise: z.string().optional(),
  problem: z.string().optional(),
  text: z.string().optional(),
  turns: z.array(z.string()).optional(),
  messages: z.array(z.looseObject({ role: z.string(), content: z.string() })).optional(),
  choices: z.array(z.string()).optional(),
  tools: z.array(z.unknown()).optional(),
});

type Row = z.infer<typeof rowSchema>;

/** Rows of running text that are headings or hardly more. */
const minTextLength = 80;

/**
 * Reads the prompts of an evaluation data set, in the order of the file.
 * @param maxPrompts reading ends there
 * @throws RouterError when the file cannot be read or has rows without a prompt.
 */
export function readDataPrompts(
  path: string,
  form: PromptForm,
  maxPrompts: number,
): Conversation[] {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (cause) {
    throw new RouterError(`${path}: cannot be read (${(cause as Error).message})`, { cause });
  }
  const conversations: Conversation[] = [];
  for (const [index, line] of text.split("\n").entries()) {
    if (conversations.length === maxPrompts) break;
    if (line.trim() === "") continue;
    const content = promptOf(parseRow(`${path}:${index + 1}`, line), form);
    if (content === null) continue;
    conversations.push([{ role: "user", content }]);
  }
  return conversations;
}

function parseRow(place: string, line: string): Row {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (cause) {
    throw new RouterError(`${place}: is not valid JSON`, { cause });
  }
  const parsed = rowSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new RouterError(`${place}: ${describeIssues(parsed.error)}`);
}

/** Null for a row of running text that is too short, or without any text. */
function promptOf(row: Row, form: PromptForm): string | null {
  if (row.passage !== undefined && row.question !== undefined) {
    const question = row.question.endsWith("?") ? row.question : `${row.question}?`;
    // Choices of yes and no are not shown.
    const options = (row.choices?.length ?? 0) > 2 ? optionsOf(row) : "";
    return form === "bare"
      ? `${row.passage}\n${question}`
      : `${row.passage}\nQuestion: ${question}${options}\nAnswer:`;
  }
  const given = row.prompt ?? row.problem ?? row.turns?.[0] ?? firstUserMessage(row);
  if (given !== undefined) return row.tools === undefined ? given : withFunctions(row.tools, given);
  const question = questionOf(row);
  if (question !== undefined) {
    return form === "bare" ? question : `Question: ${question}${optionsOf(row)}\nAnswer:`;
  }
  const text = row.text?.trim() ?? "";
  // Of MBPP, the task; else running text, where headings of Wikipedia begin with a sign.
  if ("code" in row) return text;
  return text.length < minTextLength || text.startsWith("=") ? null : text;
}

function questionOf(row: Row): string | undefined {
  // Of XCOPA, "cause" or "effect".
  if (row.premise !== undefined) return row.premise;
  return row.question ?? row.question_stem ?? row.sentence ?? row.query ?? row.ctx ?? row.goal;
}

function optionsOf({ choices }: Row): string {
  if (choices === undefined) return "";
  const lines = choices.map((choice, i) => `${String.fromCharCode(65 + i)}) ${choice}`);
  return `\nOptions:\n${lines.join("\n")}`;
}

/** As the prompt of a model that has no other place for the functions it may call. */
function withFunctions(tools: readonly unknown[], request: string): string {
  return `Functions: ${JSON.stringify(tools)}\n\n${request}`;
}

function firstUserMessage({ messages }: Row): string | undefined {
  return messages?.find(({ role }) => role === "user")?.content;
}
