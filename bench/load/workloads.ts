import type { PromptSource } from "./prompt-source.ts";
import { systemPrompt } from "./system-prompt.ts";

/** What one user says, each time with all that was said before. */
export interface Session {
  readonly task: string;
  readonly system?: string;
  readonly turns: readonly string[];
}

export interface Workload {
  readonly name: WorkloadName;
  readonly title: string;
  readonly sessions: readonly Session[];
  /** Answers end by themselves, or here. */
  readonly maxTokens: number;
  /** Whether prompts share their beginnings, and servers may make use of it. */
  readonly usesCache: boolean;
}

export const workloadNames = [
  "one-task",
  "mixed",
  "copying",
  "multi-turn",
  "shared-system",
  "long-documents",
] as const;

export type WorkloadName = (typeof workloadNames)[number];

const maxTokens = 128;
/** Of the texts that one long document is made of. */
const documentLength = 6000;
const textTasks = ["summarization", "reading"] as const;

export function createWorkload(name: WorkloadName, source: PromptSource): Workload {
  const { byTask } = source;
  const alone = { name, maxTokens, usesCache: false };
  switch (name) {
    case "one-task":
      return { ...alone, title: "one task (code)", sessions: single("code", byTask["code"]!) };
    case "mixed":
      return { ...alone, title: "all tasks in turn", sessions: mixedSessions(source) };
    case "copying":
      return {
        ...alone,
        title: "answers that repeat their prompts: edits of code, summaries, extraction",
        sessions: copyingSessions(source),
      };
    case "multi-turn":
      return {
        ...alone,
        title: "conversations of two turns",
        sessions: source.conversations.map((turns) => ({ task: "chat", turns })),
        usesCache: true,
      };
    case "shared-system":
      return {
        ...alone,
        title: "one long system prompt, all tasks",
        sessions: mixedSessions(source).map((session) => ({ ...session, system: systemPrompt })),
        usesCache: true,
      };
    case "long-documents":
      return { ...alone, title: "long documents", sessions: documentSessions(source) };
  }
}

/** One prompt of each task in turn. */
function mixedSessions({ byTask }: PromptSource): Session[] {
  return inTurn(Object.entries(byTask).map(([task, texts]) => single(task, texts)));
}

function copyingSessions({ byTask }: PromptSource): Session[] {
  const edits = byTask["code"]!.filter(isEdit);
  return inTurn([
    single("code", edits),
    single("summarization", byTask["summarization"]!),
    single("extraction", byTask["extraction"]!),
  ]);
}

/** Whether a prompt has code of its own that is to be changed. */
function isEdit(text: string): boolean {
  const asks = /\b(edit|rewrite|modify|fix|refactor|convert|change|improve|optimi[sz]e|debug)\b/i;
  return asks.test(text.split("\n")[0]!) && text.trim().includes("\n");
}

/** Several texts after each other, and a question on all of them. */
function documentSessions({ byTask }: PromptSource): Session[] {
  const sessions: Session[] = [];
  let document = "";
  for (const text of inTurn(textTasks.map((task) => byTask[task]!))) {
    document += `${text}\n\n`;
    if (document.length < documentLength) continue;
    const turn = `${document}What are the texts above about? Answer in three sentences.`;
    sessions.push({ task: "summarization", turns: [turn] });
    document = "";
  }
  return sessions;
}

function single(task: string, texts: readonly string[]): Session[] {
  return texts.map((text) => ({ task, turns: [text] }));
}

/** The first of each list, then the second of each; ends with the longest list. */
function inTurn<T>(lists: readonly (readonly T[])[]): T[] {
  const rows = Math.max(0, ...lists.map(({ length }) => length));
  return Array.from({ length: rows }, (_, row) => lists.flatMap((list) => list[row] ?? [])).flat();
}
