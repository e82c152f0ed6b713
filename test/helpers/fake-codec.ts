import { ChatTemplateError } from "../../model/errors.ts";
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

  encodeText(text: string): Uint32Array {
    return Uint32Array.from(text, (character) => character.codePointAt(0)! % 1000);
  }
}
