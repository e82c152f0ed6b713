import { ChatTemplateError } from "../../model/errors.ts";
import type { RenderOptions } from "../../model/chat-template.ts";
import { wholePrompt } from "../../router/prompt-spans.ts";
import type { PromptSpans } from "../../router/prompt-spans.ts";
import type {
  ChatMessage,
  EncodeTextOptions,
  TextCodec,
  TokenizerInfo,
} from "../../server/codec.ts";

/** One token per character of the contents; remembers the conversations it was given. */
export class FakeCodec implements TextCodec {
  readonly conversations: (readonly ChatMessage[])[] = [];
  /** What each was rendered with. */
  readonly renderings: (Partial<RenderOptions> | undefined)[] = [];
  readonly tokenizerInfo: TokenizerInfo = {
    className: "FakeTokenizer",
    vocabSize: 1000,
    bosToken: "^",
    eosToken: "$",
    padToken: null,
    addsBos: true,
    chatTemplate: "{{ messages }}",
  };

  encodeChat(messages: readonly ChatMessage[], options?: Partial<RenderOptions>): Uint32Array {
    this.conversations.push(messages);
    return this.#encode(this.renderChat(messages, options));
  }

  /** The contents joined, `>` where no assistant's turn is to follow. */
  renderChat(messages: readonly ChatMessage[], options?: Partial<RenderOptions>): string {
    this.renderings.push(options);
    if (messages[0]?.content === "refuse me") {
      throw new ChatTemplateError("The chat template refuses this conversation.");
    }
    const text = messages.map(({ content }) => content).join("");
    return options?.addGenerationPrompt === false ? `${text}>` : text;
  }

  findSpans(messages: readonly ChatMessage[], tokenIds: Uint32Array): PromptSpans {
    const last = messages.at(-1)?.content.length ?? 0;
    const { question } = wholePrompt(tokenIds.length);
    return { question: { ...question, start: question.end - last }, previous: null };
  }

  /** Begins with `^` where special tokens are asked for, which they are not without options. */
  encodeText(text: string, options: EncodeTextOptions = {}): Uint32Array {
    return this.#encode(options.addSpecialTokens === true ? `^${text}` : text);
  }

  decode(tokenIds: ArrayLike<number>): string {
    return Array.from(tokenIds, (id) => this.tokenContent(id)).join("");
  }

  tokenContent(tokenId: number): string {
    return String.fromCodePoint(tokenId);
  }

  /** Odd ids from 128 on are half a character. */
  isControl(): boolean {
    return false;
  }

  tokenBytes(tokenId: number): Uint8Array {
    return tokenId >= 128 && tokenId % 2 === 1
      ? Uint8Array.of(0xc3)
      : Buffer.from(this.tokenContent(tokenId));
  }

  #encode(text: string): Uint32Array {
    return Uint32Array.from(text, (character) => character.codePointAt(0)! % 1000);
  }
}
