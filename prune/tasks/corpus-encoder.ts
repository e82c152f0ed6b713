import type { ChatTemplate, TemplateMessage } from "../../model/text/chat-template.ts";
import { SeapError } from "../../model/errors.ts";
import type { Tokenizer } from "../../model/text/tokenizer.ts";
import type { CorpusRow } from "./corpus.ts";
import { CorpusError } from "../errors.ts";

/** A row as the model reads it. */
export interface TokenSequence {
  readonly tokenIds: Uint32Array;
  /** Tokens before the answer; 0 for running text, all for a prompt without an answer. */
  readonly numPromptTokens: number;
}

export interface TokenLimits {
  /** Longer conversations are cut off, longer texts continue in another sequence. */
  readonly maxSequenceTokens: number;
  /** All sequences together; the last one is cut to fit. @default no limit */
  readonly maxTokens?: number;
}

/** Turns rows into tokens as the server would. */
export class CorpusEncoder {
  readonly #tokenizer: Tokenizer;
  readonly #template: ChatTemplate;

  constructor(tokenizer: Tokenizer, template: ChatTemplate) {
    this.#tokenizer = tokenizer;
    this.#template = template;
  }

  /** @throws CorpusError when the chat template refuses a conversation. */
  encode(rows: readonly CorpusRow[], limits: TokenLimits): TokenSequence[] {
    const { maxSequenceTokens, maxTokens = Infinity } = limits;
    const sequences: TokenSequence[] = [];
    let left = maxTokens;
    for (const row of rows) {
      for (const sequence of this.#pieces(row, maxSequenceTokens)) {
        if (left <= 0) return sequences;
        const kept = truncate(sequence, left);
        left -= kept.tokenIds.length;
        sequences.push(kept);
      }
    }
    return sequences;
  }

  #pieces(row: CorpusRow, maxSequenceTokens: number): TokenSequence[] {
    if (row.kind === "chat") {
      return [truncate(this.#encodeChat(row.messages), maxSequenceTokens)];
    }
    if (row.text.trim() === "") return [];
    const tokenIds = this.#tokenizer.encode(row.text, { parseSpecial: false });
    const pieces: TokenSequence[] = [];
    for (let start = 0; start < tokenIds.length; start += maxSequenceTokens) {
      const piece = tokenIds.subarray(start, start + maxSequenceTokens);
      pieces.push({ tokenIds: piece, numPromptTokens: 0 });
    }
    return pieces;
  }

  #encodeChat(messages: readonly TemplateMessage[]): TokenSequence {
    const answered = messages.at(-1)!.role === "assistant";
    const asked = answered ? messages.slice(0, -1) : messages;
    const render = (
      part: readonly TemplateMessage[],
      addGenerationPrompt: boolean,
    ): Uint32Array => {
      try {
        return this.#template.encode(part, { addGenerationPrompt });
      } catch (cause) {
        if (!(cause instanceof SeapError)) throw cause;
        const start = JSON.stringify(messages[0]!.content.slice(0, 60));
        throw new CorpusError(`The conversation that begins with ${start}: ${cause.message}`, {
          cause,
        });
      }
    };
    if (asked.length === 0) return { tokenIds: render(messages, false), numPromptTokens: 0 };
    const prompt = render(asked, true);
    const tokenIds = answered ? render(messages, false) : prompt;
    return { tokenIds, numPromptTokens: commonLength(prompt, tokenIds) };
  }
}

/** A template may write less before a finished answer than before one that is asked for. */
function commonLength(a: Uint32Array, b: Uint32Array): number {
  let length = 0;
  while (length < a.length && length < b.length && a[length] === b[length]) length += 1;
  return length;
}

function truncate({ tokenIds, numPromptTokens }: TokenSequence, length: number): TokenSequence {
  return {
    tokenIds: tokenIds.subarray(0, length),
    numPromptTokens: Math.min(numPromptTokens, length),
  };
}
