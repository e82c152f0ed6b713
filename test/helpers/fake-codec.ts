import { ChatTemplateError } from "../../model/errors.ts";
import { wholePrompt } from "../../router/prompt-spans.ts";
import type { PromptSpans } from "../../router/prompt-spans.ts";
import type { ChatMessage, TextCodec } from "../../server/codec.ts";

/** One token per character of the contents; remembers the conversations it was given. */
export class FakeCodec implements TextCodec {
  readonly conversations: (readonly ChatMessage[])[] = [];

  encodeChat(messages: readonly ChatMessage[]): Uint32Array {
    this.conversations.push(messages);
    if (messages[0]?.content === "refuse me") {
      throw new ChatTemplateError("The chat template refuses this conversation.");
    }
    return this.encodeText(messages.map(({ content }) => content).join(""));
  }

  findSpans(messages: readonly ChatMessage[], tokenIds: Uint32Array): PromptSpans {
    const last = messages.at(-1)?.content.length ?? 0;
    const { question } = wholePrompt(tokenIds.length);
    return { question: { ...question, start: question.end - last }, previous: null };
  }

  encodeText(text: string): Uint32Array {
    return Uint32Array.from(text, (character) => character.codePointAt(0)! % 1000);
  }
}
