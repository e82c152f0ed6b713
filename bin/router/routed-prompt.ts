import type { ChatTemplate, TemplateMessage } from "../../model/text/chat-template.ts";
import type { CorpusRow } from "../../prune/tasks/corpus.ts";
import { findPromptSpans } from "../../router/prompt-spans.ts";
import type { PromptSpans } from "../../router/prompt-spans.ts";

/** Messages of which the last of the user is what is asked. */
export type Conversation = readonly TemplateMessage[];

/** A prompt as a router sees it. */
export interface RoutedPrompt {
  /** Up to the last token that counts: what comes behind it does not change what is before. */
  readonly tokenIds: Uint32Array;
  readonly spans: PromptSpans;
}

/** Renders a conversation as the server would. @throws ChatTemplateError */
export function encodePrompt(template: ChatTemplate, messages: Conversation): RoutedPrompt {
  const options = { addGenerationPrompt: true };
  const tokenIds = template.encode(messages, options);
  const spans = findPromptSpans(template, messages, options, tokenIds);
  return { tokenIds: tokenIds.subarray(0, spans.question.end), spans };
}

/** What is asked in a row of a corpus: all of it up to the last answer, or a text as a user would paste it. */
export function rowMessages(row: CorpusRow): Conversation {
  if (row.kind === "text") return [{ role: "user", content: row.text }];
  const last = row.messages.findLastIndex(({ role }) => role === "user");
  return last < 0 ? row.messages : row.messages.slice(0, last + 1);
}
