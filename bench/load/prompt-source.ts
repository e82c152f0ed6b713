import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { readDataPrompts } from "../../bin/router/data-prompts.ts";
import { builtinTests } from "../../bin/router/suites.ts";

/** Prompts of real users and data sets where these are on the machine, of the built-in corpora where not. */
export interface PromptSource {
  /** Where they are from, for people. */
  readonly origin: string;
  /** By built-in task, at their natural lengths, in the order of their file. */
  readonly byTask: Readonly<Record<string, readonly string[]>>;
  /** What users said one after the other. */
  readonly conversations: readonly (readonly string[])[];
}

/** Longer ones do not fit the context that each stream has. */
const maxLength = 8000;
const maxPrompts = 500;

const conversationSchema = z.looseObject({ turns: z.array(z.string()).min(2) });
const corpusSchema = z.looseObject({ prompt: z.string().optional() });

/** @param dataDir with the evaluation data, `<data set>.eval.jsonl` */
export function readPromptSource(dataDir: string): PromptSource {
  const tasks = Object.keys(builtinTests);
  const isThere = Object.values(builtinTests).every(([dataSet]) =>
    existsSync(evalFile(dataDir, dataSet!)),
  );
  const byTask = Object.fromEntries(
    tasks.map((task) => {
      const texts = isThere ? dataTexts(dataDir, builtinTests[task]![0]!) : corpusTexts(task);
      return [task, texts.filter((text) => text.length <= maxLength)];
    }),
  );
  const chats = evalFile(dataDir, "mt_bench");
  const conversations =
    isThere && existsSync(chats)
      ? readLines(chats).map((line) => conversationSchema.parse(JSON.parse(line)).turns)
      : inPairs(byTask["chat"]!);
  return { origin: isThere ? dataDir : "built-in corpora", byTask, conversations };
}

function dataTexts(dataDir: string, dataSet: string): string[] {
  const prompts = readDataPrompts(evalFile(dataDir, dataSet), "bare", maxPrompts);
  return prompts.map((messages) => messages[0]!.content);
}

function corpusTexts(task: string): string[] {
  // From dist/bench/load/ as compiled.
  const path = new URL(`../../../prune/tasks/${task}.jsonl`, import.meta.url);
  return readLines(path).flatMap((line) => corpusSchema.parse(JSON.parse(line)).prompt ?? []);
}

function inPairs(texts: readonly string[]): string[][] {
  return Array.from({ length: Math.floor(texts.length / 2) }, (_, i) =>
    texts.slice(2 * i, 2 * i + 2),
  );
}

function evalFile(dataDir: string, dataSet: string): string {
  return join(dataDir, `${dataSet}.eval.jsonl`);
}

function readLines(path: string | URL): string[] {
  return readFileSync(path, "utf8").trim().split("\n");
}
