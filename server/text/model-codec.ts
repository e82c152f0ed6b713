import {
  type ChatTemplate,
  createChatTemplate,
  type RenderOptions,
} from "../../model/text/chat-template.ts";
import { TooManyTokensError } from "../../model/errors.ts";
import type { TokenizerSource } from "../../model/text/tokenizer-source.ts";
import { createTokenizer, type EncodedPieces, type Tokenizer } from "../../model/text/tokenizer.ts";
import type { TokenTable } from "../../model/text/token-table.ts";
import { findPromptSpans } from "../../router/prompt-spans.ts";
import type {
  ChatMessage,
  EncodeChatOptions,
  EncodedChat,
  EncodeTextOptions,
  TokenizerInfo,
} from "./codec.ts";

/** The tokenizer and the chat template of a model, at work in the thread of who asks. */
export class ModelCodec {
  readonly tokenizerInfo: TokenizerInfo;
  readonly #tokenizer: Tokenizer;
  readonly #template: ChatTemplate;

  /** @throws ModelLoadError, ChatTemplateError */
  constructor(source: TokenizerSource) {
    const tokenizer = createTokenizer(source);
    const template = createChatTemplate(source, tokenizer);
    this.#tokenizer = tokenizer;
    this.#template = template;
    const content = (id: number | null) => (id === null ? null : tokenizer.tokenContent(id));
    this.tokenizerInfo = {
      className: className(source),
      vocabSize: tokenizer.vocabSize,
      bosToken: content(tokenizer.bosTokenId),
      eosToken: content(tokenizer.eosTokenId),
      padToken: padToken(source, tokenizer),
      addsBos: tokenizer.addBos,
      chatTemplate: template.text,
    };
  }

  get tokenTable(): TokenTable {
    return this.#tokenizer.tokenTable;
  }

  /** @throws ChatTemplateError, TooManyTokensError */
  encodeChat(
    messages: readonly ChatMessage[],
    rendering?: Partial<RenderOptions>,
    { maxTokens = Infinity, wantsSpans = false }: EncodeChatOptions = {},
  ): EncodedChat {
    const shown = withDefaults(rendering);
    const known: EncodedPieces = new Map();
    const tokenIds = this.#template.encode(messages, shown, {
      maxTokens,
      ...(wantsSpans && { known }),
    });
    const spans = wantsSpans
      ? findPromptSpans(this.#template, messages, shown, tokenIds, known)
      : null;
    return { tokenIds, spans };
  }

  /** @throws ChatTemplateError */
  renderChat(messages: readonly ChatMessage[], rendering?: Partial<RenderOptions>): string {
    return this.#template.render(messages, withDefaults(rendering));
  }

  /** @throws TooManyTokensError */
  encodeTexts(texts: readonly string[], options: EncodeTextOptions = {}): Uint32Array[] {
    const { addSpecialTokens = true, parseSpecial = true, maxTokens = Infinity } = options;
    this.checkLengths(texts, maxTokens);
    return texts.map((text) =>
      this.#tokenizer.encode(text, {
        maxTokens,
        // As vLLM and llama.cpp: a completion prompt may spell control tokens.
        parseSpecial,
        ...(!addSpecialTokens && { addBos: false }),
      }),
    );
  }

  /** @throws TooManyTokensError where the length alone tells that a text has more tokens than that */
  checkLengths(texts: readonly string[], maxTokens: number): void {
    for (const { length } of texts) {
      const fewest = this.#tokenizer.fewestTokens(length);
      if (fewest > maxTokens) throw new TooManyTokensError(fewest);
    }
  }

  decode(tokenIds: ArrayLike<number>): string {
    return this.#tokenizer.decode(tokenIds, { keepSpecial: true });
  }

  tokenContent(tokenId: number): string {
    return this.#tokenizer.tokenContent(tokenId);
  }

  isControl(tokenId: number): boolean {
    return this.#tokenizer.tokenTable.control[tokenId] === 1;
  }

  tokenBytes(tokenId: number): Uint8Array {
    const { bytes, offsets } = this.#tokenizer.tokenTable;
    if (this.isControl(tokenId)) return Buffer.from(this.#tokenizer.tokenContent(tokenId));
    return bytes.subarray(offsets[tokenId] ?? 0, offsets[tokenId + 1] ?? 0);
  }
}

function withDefaults(options: Partial<RenderOptions> = {}): RenderOptions {
  return { addGenerationPrompt: true, ...options };
}

function className(source: TokenizerSource): string {
  const name = source.kind === "huggingface" ? source.tokenizerConfig["tokenizer_class"] : null;
  // Of tokenizers that transformers reads from GGUF files.
  return typeof name === "string" ? name : "PreTrainedTokenizerFast";
}

function padToken(source: TokenizerSource, tokenizer: Tokenizer): string | null {
  if (source.kind === "gguf") {
    const id = source.metadata["tokenizer.ggml.padding_token_id"];
    return typeof id === "number" ? tokenizer.tokenContent(id) : null;
  }
  const token = source.tokenizerConfig["pad_token"] as string | { content?: unknown } | null;
  const content = typeof token === "object" ? token?.content : token;
  return typeof content === "string" ? content : null;
}
