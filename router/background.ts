import { readFileSync } from "node:fs";
import { z } from "zod";

/** A prompt that is of none of the tasks, whatever these are. */
export interface BackgroundPrompt {
  /** Prompts of one kind: single words, noise, small talk in other languages. */
  readonly group: string;
  readonly prompt: string;
}

const rowSchema = z.strictObject({ group: z.string(), prompt: z.string() });

// From dist/router/ as compiled; the file is not copied there.
const file = new URL("../../router/background.jsonl", import.meta.url);

/** The prompts that come with the package. */
export function readBackground(): BackgroundPrompt[] {
  const lines = readFileSync(file, "utf8").split("\n");
  return lines.flatMap((line) => (line === "" ? [] : [rowSchema.parse(JSON.parse(line))]));
}
