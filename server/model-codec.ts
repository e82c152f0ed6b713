import type { ChatTemplate, RenderOptions } from "../model/chat-template.ts";
import type { TokenizerSource } from "../model/tokenizer-source.ts";
import type { EncodedPieces, Tokenizer } from "../model/tokenizer.ts";
import { findPromptSpans } from "../router/prompt-spans.ts";
import type { PromptSpans } from "../router/prompt-spans.ts";
import type { ChatMessage, EncodeTextOptions, TextCodec, TokenizerInfo } from "./codec.ts";

/** The codec of a model: its tokenizer and its chat template. */
export class ModelCodec implements TextCodec {
  readonly tokenizerInfo: TokenizerInfo;
  readonly #tokenizer: Tokenizer;
  readonly #template: ChatTemplate;
  /** Of conversations whose spans nobody has asked for yet. */
  readonly #encoded = new WeakMap<Uint32Array, EncodedPieces>();

  constructor(tokenizer: Tokenizer, template: ChatTemplate, source: TokenizerSource) {
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

  encodeChat(
    messages: readonly ChatMessage[],
    options?: Partial<RenderOptions>,
    maxTokens = Infinity,
  ): Uint32Array {
    const known: EncodedPieces = new Map();
    const tokenIds = this.#template.encode(messages, withDefaults(options), { maxTokens, known });
    this.#encoded.set(tokenIds, known);
    return tokenIds;
  }

  renderChat(messages: readonly ChatMessage[], options?: Partial<RenderOptions>): string {
    return this.#template.render(messages, withDefaults(options));
  }

  findSpans(
    messages: readonly ChatMessage[],
    tokenIds: Uint32Array,
    options?: Partial<RenderOptions>,
  ): PromptSpans {
    const known = this.#encoded.get(tokenIds);
    this.#encoded.delete(tokenIds);
    return findPromptSpans(this.#template, messages, withDefaults(options), tokenIds, known);
  }

  encodeText(text: string, options: EncodeTextOptions = {}): Uint32Array {
    const { addSpecialTokens = true, parseSpecial = true, maxTokens = Infinity } = options;
    return this.#tokenizer.encode(text, {
      maxTokens,
      // As vLLM and llama.cpp: a completion prompt may spell control tokens.
      parseSpecial,
      ...(!addSpecialTokens && { addBos: false }),
    });
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
