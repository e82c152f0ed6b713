import type { Conversation } from "./routed-prompt.ts";

/** Longer prompts of one paragraph are texts, which nobody calls a question. */
const questionLength = 400;

/**
 * A prompt as it is and put in another way that asks the same: where it has several paragraphs, the first comes
 * last, or the last first if that is shorter, as an instruction can stand before or behind a text; else as
 * question and answer. So the place of an instruction and the word "Question" are not taken for the task.
 */
export function promptViews(conversation: Conversation): readonly Conversation[] {
  const last = conversation.at(-1);
  if (last?.role !== "user") return [conversation, conversation];
  const content = turnedRound(last.content) ?? asQuestion(last.content);
  return [conversation, [...conversation.slice(0, -1), { ...last, content }]];
}

/** Null for a single paragraph. */
function turnedRound(text: string): string | null {
  const paragraphs = text.trim().split(/\n\s*\n/);
  const [first, last] = [paragraphs[0]!, paragraphs.at(-1)!];
  if (paragraphs.length === 1) return null;
  const turned =
    first.length <= last.length
      ? [...paragraphs.slice(1), first]
      : [last, ...paragraphs.slice(0, -1)];
  return turned.join("\n\n");
}

function asQuestion(text: string): string {
  const isQuestion = text.length <= questionLength && !/^question:|answer:$/i.test(text.trim());
  return isQuestion ? `Question: ${text.trim()}\nAnswer:` : text;
}
