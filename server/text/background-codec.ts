import type { RenderOptions } from "../../model/text/chat-template.ts";
import { ChatTemplateError, TooManyTokensError } from "../../model/errors.ts";
import type { Background } from "../background/background.ts";
import type * as tasks from "./codec-worker.ts";
import type {
  ChatMessage,
  EncodeChatOptions,
  EncodedChat,
  EncodeTextOptions,
  TextCodec,
  TokenizerInfo,
} from "./codec.ts";
import type { ModelCodec } from "./model-codec.ts";

/** Threads that have a tokenizer of their own. */
export type CodecTasks = Background<typeof tasks>;

/** Digits, the slowest, take 4 µs each: a third of a tenth of a second. */
const maxInlineCharacters = 8192;

/** What a message costs besides its text, in characters. */
const messageCharacters = 32;

/** Texts that are encoded in one go; other requests' come between. */
const groupCharacters = 2 ** 18;

/** A codec that never holds up the thread of all requests: what is long, it has encoded in the background. */
export class BackgroundCodec implements TextCodec {
  readonly tokenizerInfo: TokenizerInfo;
  readonly #codec: ModelCodec;
  readonly #background: Pick<CodecTasks, "run">;
  readonly #maxInline: number;

  /** @param maxInline - characters that are encoded in this thread */
  constructor(
    codec: ModelCodec,
    background: Pick<CodecTasks, "run">,
    maxInline = maxInlineCharacters,
  ) {
    this.tokenizerInfo = codec.tokenizerInfo;
    this.#codec = codec;
    this.#background = background;
    this.#maxInline = maxInline;
  }

  async encodeChat(
    messages: readonly ChatMessage[],
    rendering?: Partial<RenderOptions>,
    options?: EncodeChatOptions,
  ): Promise<EncodedChat> {
    return this.#isShort(messages, rendering)
      ? this.#codec.encodeChat(messages, rendering, options)
      : valueOf(await this.#background.run("encodeChat", [messages, rendering, options]));
  }

  async renderChat(
    messages: readonly ChatMessage[],
    rendering?: Partial<RenderOptions>,
  ): Promise<string> {
    return this.#isShort(messages, rendering)
      ? this.#codec.renderChat(messages, rendering)
      : valueOf(await this.#background.run("renderChat", [messages, rendering]));
  }

  async encodeTexts(
    texts: readonly string[],
    options: EncodeTextOptions = {},
  ): Promise<Uint32Array[]> {
    if (this.#isShort(texts)) return this.#codec.encodeTexts(texts, options);
    // What is certainly too long is not sent there.
    this.#codec.checkLengths(texts, options.maxTokens ?? Infinity);
    const encoded: Uint32Array[] = [];
    for (const group of groupsOf(texts)) {
      encoded.push(...valueOf(await this.#background.run("encodeTexts", [group, options])));
    }
    return encoded;
  }

  decode(tokenIds: ArrayLike<number>): string {
    return this.#codec.decode(tokenIds);
  }

  tokenContent(tokenId: number): string {
    return this.#codec.tokenContent(tokenId);
  }

  isControl(tokenId: number): boolean {
    return this.#codec.isControl(tokenId);
  }

  tokenBytes(tokenId: number): Uint8Array {
    return this.#codec.tokenBytes(tokenId);
  }

  #isShort(...values: readonly unknown[]): boolean {
    return countCharacters(values, this.#maxInline) <= this.#maxInline;
  }
}

/** @throws ChatTemplateError, TooManyTokensError */
function valueOf<T>(outcome: tasks.Outcome<T>): T {
  if ("value" in outcome) return outcome.value;
  if ("refusal" in outcome) throw new ChatTemplateError(outcome.refusal);
  throw new TooManyTokensError(outcome.numTokens);
}

/** Characters of all texts in a JSON value, and some for each of its objects; counting ends beyond the limit. */
function countCharacters(value: unknown, limit: number): number {
  if (typeof value === "string") return value.length;
  if (typeof value !== "object" || value === null) return 1;
  let sum = Array.isArray(value) ? 0 : messageCharacters;
  for (const key in value) {
    if (sum > limit) break;
    sum += countCharacters((value as Readonly<Record<string, unknown>>)[key], limit - sum);
  }
  return sum;
}

/** In order; a text that is longer than a group may be is one by itself. */
function groupsOf(texts: readonly string[]): string[][] {
  const groups: string[][] = [];
  let numCharacters = Infinity;
  for (const text of texts) {
    numCharacters += text.length;
    if (numCharacters > groupCharacters) {
      groups.push([]);
      numCharacters = text.length;
    }
    groups.at(-1)!.push(text);
  }
  return groups;
}
