import { ChatTemplateError } from "../../model/errors.ts";
import type { RenderOptions } from "../../model/text/chat-template.ts";
import { TaskLimitError } from "../../server/base/task-limit-error.ts";
import { wholePrompt } from "../../router/prompt-spans.ts";
import type {
  ChatMessage,
  EncodeChatOptions,
  EncodedChat,
  EncodeTextOptions,
  TextCodec,
  TokenizerInfo,
} from "../../server/text/codec.ts";

/** One token per character of the contents; remembers the conversations it was given. */
export class FakeCodec implements TextCodec {
  /** Takes too long to read. */
  static readonly endless = "without end";
  readonly conversations: (readonly ChatMessage[])[] = [];
  /** What each was rendered with. */
  readonly renderings: (Partial<RenderOptions> | undefined)[] = [];
  /** Whose template is set by tests; it renders nothing. */
  tokenizerInfo: TokenizerInfo = {
    className: "FakeTokenizer",
    vocabSize: 1000,
    bosToken: "^",
    eosToken: "$",
    padToken: null,
    addsBos: true,
    chatTemplate: "{{ messages }}",
  };

  set chatTemplate(chatTemplate: string) {
    this.tokenizerInfo = { ...this.tokenizerInfo, chatTemplate };
  }

  async encodeChat(
    messages: readonly ChatMessage[],
    rendering?: Partial<RenderOptions>,
    { wantsSpans = false }: EncodeChatOptions = {},
  ): Promise<EncodedChat> {
    this.conversations.push(messages);
    const tokenIds = this.#encode(await this.renderChat(messages, rendering));
    if (!wantsSpans) return { tokenIds, spans: null };
    const last = messages.at(-1)?.content.length ?? 0;
    const { question } = wholePrompt(tokenIds.length);
    return {
      tokenIds,
      spans: { question: { ...question, start: question.end - last }, previous: null },
    };
  }

  /** The contents joined, `>` where no assistant's turn is to follow. */
  renderChat(messages: readonly ChatMessage[], options?: Partial<RenderOptions>): Promise<string> {
    this.renderings.push(options);
    if (messages[0]?.content === "refuse me") {
      throw new ChatTemplateError("The chat template refuses this conversation.");
    }
    refuseEndless(messages.map(({ content }) => content));
    const text = messages.map(({ content }) => content).join("");
    return Promise.resolve(options?.addGenerationPrompt === false ? `${text}>` : text);
  }

  /** Begins with `^` where special tokens are asked for, which they are not without options. */
  encodeTexts(texts: readonly string[], options: EncodeTextOptions = {}): Promise<Uint32Array[]> {
    refuseEndless(texts);
    const start = options.addSpecialTokens === true ? "^" : "";
    return Promise.resolve(texts.map((text) => this.#encode(start + text)));
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

function refuseEndless(texts: readonly string[]): void {
  if (texts.includes(FakeCodec.endless)) throw new TaskLimitError("1 ms");
}
