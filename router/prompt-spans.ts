import type { ChatTemplate, RenderOptions, TemplateMessage } from "../model/text/chat-template.ts";
import { SeapError } from "../model/errors.ts";
import type { EncodedPieces } from "../model/text/tokenizer.ts";

/** Tokens from `start` up to, not including, `end`. */
export interface TokenSpan {
  readonly start: number;
  readonly end: number;
}

/** What of a prompt says which task it is. */
export interface PromptSpans {
  /** What is asked: the last message of the user. Never empty where the prompt is not. */
  readonly question: TokenSpan;
  /** The message of the user before that, which a short question goes on from; null where there is none. */
  readonly previous: TokenSpan | null;
}

/** A prompt that was rendered by no template. */
export function wholePrompt(numTokens: number): PromptSpans {
  return { question: { start: 0, end: numTokens }, previous: null };
}

/**
 * Finds the user's own words among the tokens of a rendered conversation, whatever the template: those are
 * the tokens that change when the message does. All of the prompt where no message of the user has any.
 * @param tokenIds of `messages`, as the template encodes them with `options`
 * @param known - pieces that were encoded for them, which need not be encoded again
 */
export function findPromptSpans(
  template: ChatTemplate,
  messages: readonly TemplateMessage[],
  options: RenderOptions,
  tokenIds: Uint32Array,
  known: EncodedPieces = new Map(),
): PromptSpans {
  const turns = messages.flatMap(({ role }, index) => (role === "user" ? [index] : []));
  const spanOf = (turn: number | undefined): TokenSpan | null => {
    if (turn === undefined || messages[turn]!.content.trim() === "") return null;
    const content = unlike(messages[turn]!.content);
    const changed = messages.with(turn, { ...messages[turn]!, content });
    try {
      return changedTokens(tokenIds, template.encode(changed, options, { known }));
    } catch (error) {
      // A template may refuse what nobody would say. The prompt itself it has taken.
      if (error instanceof SeapError) return null;
      throw error;
    }
  };
  const question = spanOf(turns.at(-1));
  if (question === null) return wholePrompt(tokenIds.length);
  const previous = spanOf(turns.at(-2));
  return {
    question,
    previous: previous !== null && previous.end <= question.start ? previous : null,
  };
}

/** A character that the content neither begins nor ends with, with or without the blanks around it. */
function unlike(content: string): string {
  const trimmed = content.trim();
  const taken = [content[0], content.at(-1), trimmed[0], trimmed.at(-1)];
  return ["0", "Z", "k"].find((character) => !taken.includes(character)) ?? "#";
}

/** Tokens of `a` that are neither in the common beginning nor in the common end; null for none. */
function changedTokens(a: Uint32Array, b: Uint32Array): TokenSpan | null {
  const shorter = Math.min(a.length, b.length);
  let start = 0;
  while (start < shorter && a[start] === b[start]) start += 1;
  let tail = 0;
  while (tail < shorter - start && a[a.length - 1 - tail] === b[b.length - 1 - tail]) tail += 1;
  const end = a.length - tail;
  return start < end ? { start, end } : null;
}
