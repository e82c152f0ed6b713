import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { readCorpusFile } from "../../prune/tasks/corpus.ts";
import type { CorpusRow } from "../../prune/tasks/corpus.ts";
import { keywords } from "../../router/keywords.ts";
import { proposeGroups } from "../../router/propose.ts";
import type { CommandIo } from "../command-line.ts";
import { jsonText } from "../prune/output.ts";
import { rowMessages } from "./routed-prompt.ts";
import type { TaskProposeOptions } from "./router-options.ts";
import { withRouterRun } from "./router-run.ts";

const numKeywords = 6;
const numExamples = 3;
const exampleLength = 100;

/** `seap router propose` @throws SeapError, and the signal's reason */
export async function proposeTasks(
  path: string,
  options: TaskProposeOptions & { readonly json: boolean },
  io: CommandIo,
  signal: AbortSignal,
): Promise<void> {
  const rows = readCorpusFile(path);
  await withRouterRun(options, io, signal, async (run) => {
    const conversations = rows.map(rowMessages);
    const features = await run.features("reading prompts", conversations);
    const groups = proposeGroups(
      features,
      options.tasks === undefined ? {} : { numGroups: options.tasks },
    );
    const question = (row: number): string => conversations[row]!.at(-1)?.content ?? "";
    const words = keywords(
      groups.map(({ members }) => members.map(question)),
      numKeywords,
    );
    const names = nameGroups(words);
    mkdirSync(options.out, { recursive: true });
    const proposals = groups.map(({ members, separation }, i) => {
      const corpus = join(options.out, `${names[i]!}.jsonl`);
      writeFileSync(corpus, members.map((row) => `${corpusLine(rows[row]!)}\n`).join(""));
      return {
        task: names[i]!,
        numPrompts: members.length,
        separation,
        keywords: words[i]!,
        examples: members.slice(0, numExamples).map((row) => shorten(question(row))),
        corpus,
      };
    });
    run.bar.end();
    if (options.json) {
      io.stdout(jsonText(proposals));
      return;
    }
    for (const { task, numPrompts, separation, keywords: list, examples, corpus } of proposals) {
      io.stdout(
        `${task}: ${numPrompts} prompts, separation ${separation.toFixed(2)}\n` +
          `  keywords: ${list.join(", ")}\n` +
          examples.map((example) => `  - ${example}\n`).join("") +
          `  ${corpus}\n`,
      );
    }
    io.stdout(
      `\nLook through the files, rename them, then: seap prune build --task <name> --corpus <file>\n`,
    );
  });
}

/** Two keywords each, as far as they make a name; else a number. */
function nameGroups(words: readonly (readonly string[])[]): string[] {
  const taken = new Set<string>();
  return words.map((list, index) => {
    const plain = list.filter((word) => /^[a-z][a-z0-9]*$/.test(word)).slice(0, 2);
    const name = plain.join("-").slice(0, 32).replace(/-$/, "");
    const free = name !== "" && !taken.has(name) ? name : `task-${index + 1}`;
    taken.add(free);
    return free;
  });
}

function corpusLine(row: CorpusRow): string {
  return JSON.stringify(row.kind === "text" ? { text: row.text } : { messages: row.messages });
}

function shorten(text: string): string {
  const line = text.replace(/\s+/g, " ").trim();
  return line.length <= exampleLength ? line : `${line.slice(0, exampleLength - 1)}…`;
}
