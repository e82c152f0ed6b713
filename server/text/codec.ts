import type { RenderOptions } from "../../model/text/chat-template.ts";
import type { PromptSpans } from "../../router/prompt-spans.ts";

/** A turn of a conversation in the spelling that chat templates expect. */
export interface ChatMessage {
  readonly role: "system" | "user" | "assistant" | "tool";
  readonly content: string;
  readonly name?: string;
  /** What the assistant thought before it said that. */
  readonly reasoning_content?: string;
  /** Calls the assistant made, as the client sent them. */
  readonly tool_calls?: readonly unknown[];
  /** The call that a tool message answers. */
  readonly tool_call_id?: string;
}

/** What a client asks, as tokens and as it was written. */
export interface Prompt {
  readonly tokenIds: Uint32Array;
  /** What the user says, the last time; empty where it came as token ids. */
  readonly text: string;
  /** Null for a prompt that is no conversation. */
  readonly messages: readonly ChatMessage[] | null;
  /** What of a conversation says which task it is; null where nobody wanted to know, or it is none. */
  readonly spans: PromptSpans | null;
}

/** A conversation as the model reads it. */
export type EncodedChat = Pick<Prompt, "tokenIds" | "spans">;

/** From what clients write to token ids. What is long is encoded in the background. */
export interface TextCodec {
  /**
   * The conversation in the model's chat template; ready for the assistant's turn where nothing else is asked for.
   * @throws ChatTemplateError when the template refuses the conversation.
   * @throws TooManyTokensError
   * @throws TaskLimitError, OverloadedError of the background
   */
  encodeChat(
    messages: readonly ChatMessage[],
    rendering?: Partial<RenderOptions>,
    options?: EncodeChatOptions,
  ): Promise<EncodedChat>;
  /**
   * As `encodeChat`, as text.
   * @throws ChatTemplateError
   * @throws TaskLimitError, OverloadedError of the background
   */
  renderChat(messages: readonly ChatMessage[], rendering?: Partial<RenderOptions>): Promise<string>;
  /**
   * Texts as the model was trained on them, each with its start token where it has one.
   * @throws TooManyTokensError
   * @throws TaskLimitError, OverloadedError of the background
   */
  encodeTexts(texts: readonly string[], options?: EncodeTextOptions): Promise<Uint32Array[]>;
  /** The ids' text, that of control tokens included; bytes that are not UTF-8 become U+FFFD. */
  decode(tokenIds: ArrayLike<number>): string;
  /** A token as the vocabulary spells it; empty for ids that have none. */
  tokenContent(tokenId: number): string;
  /** A control token adds nothing to a text. */
  isControl(tokenId: number): boolean;
  /** What a token adds to a text; of a control token, the text that stands for it. */
  tokenBytes(tokenId: number): Uint8Array;
  readonly tokenizerInfo: TokenizerInfo;
}

export interface EncodeChatOptions {
  /** Give up once there are certainly more, with a TooManyTokensError. @default no limit */
  readonly maxTokens?: number;
  /** Find the spans too, which takes two more renderings. @default false */
  readonly wantsSpans?: boolean;
}

export interface EncodeTextOptions {
  /** Begin with the start token where the model has one. @default true */
  readonly addSpecialTokens?: boolean;
  /** Read the text of control tokens as those tokens. @default true */
  readonly parseSpecial?: boolean;
  /** Of each text: give up once there are certainly more, with a TooManyTokensError. @default no limit */
  readonly maxTokens?: number;
}

/** What a client needs to count and to cut as the server does. */
export interface TokenizerInfo {
  /** Name of the class in transformers. */
  readonly className: string;
  readonly vocabSize: number;
  readonly bosToken: string | null;
  readonly eosToken: string | null;
  readonly padToken: string | null;
  /** Prompts begin with the beginning-of-sequence token. */
  readonly addsBos: boolean;
  /** Jinja */
  readonly chatTemplate: string;
}
