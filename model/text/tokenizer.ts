import { type AddedToken, AddedTokens } from "./added-tokens.ts";
import type { BytePairEncoder } from "./bpe.ts";
import { TooManyTokensError } from "../errors.ts";
import { readGgufTokenizer } from "./gguf-tokenizer.ts";
import { readHuggingFaceTokenizer } from "./huggingface-tokenizer.ts";
import { createTextPipeline, type TextPipeline } from "./text-pipeline.ts";
import type { TokenTable } from "./token-table.ts";
import type { TokenizerParts } from "./tokenizer-parts.ts";
import type { TokenizerSource } from "./tokenizer-source.ts";

export interface EncodeOptions {
  /**
   * True turns the text of control tokens (`<|im_end|>`) into those tokens: for trusted text only. False
   * leaves it plain text. Other added tokens are found either way.
   */
  readonly parseSpecial: boolean;
  /** Begin with the beginning-of-sequence token. @default the model's habit, `Tokenizer.addBos` */
  readonly addBos?: boolean;
  /** Last change to each piece of text between added tokens, after these were found. */
  readonly restoreText?: (text: string) => string;
  /** Give up once there are certainly more than this. @default no limit */
  readonly maxTokens?: number;
  /** Pieces that were encoded before, with the same other options; those of this text are added. */
  readonly known?: EncodedPieces;
}

/** Token ids of pieces of text between added tokens. */
export type EncodedPieces = Map<string, readonly number[]>;

/**
 * Characters for each token that there may be, of which it is first seen how many tokens they have: most texts that fit
 * have more. Then of several times as many, and so on.
 */
const firstLookChars = 2;
const nextLookFactor = 4;
/** Where fewer are left, looking would cost more than encoding. */
const minLookTokens = 256;

export interface DecodeOptions {
  /** Show control tokens as their text. @default false */
  readonly keepSpecial?: boolean;
}

/** Text to token ids and back. */
export interface Tokenizer {
  /** One more than the largest token id; a model may have more, unused, rows. */
  readonly vocabSize: number;
  readonly bosTokenId: number | null;
  /** The end of a sequence as chat templates write it. */
  readonly eosTokenId: number | null;
  /** All ends of a sequence or of a turn, ascending. */
  readonly eosTokenIds: readonly number[];
  /** Prompts begin with the beginning-of-sequence token. */
  readonly addBos: boolean;
  readonly controlTokens: readonly AddedToken[];
  readonly tokenTable: TokenTable;
  /** Token id of an added token's or a vocabulary entry's exact content, or undefined. */
  tokenId(content: string): number | undefined;
  /** Content of a token as the vocabulary spells it; empty for ids that have none. */
  tokenContent(id: number): string;
  /** How many tokens a text of this length has at least, whatever it says. */
  fewestTokens(numCharacters: number): number;
  /**
   * Lone surrogates are encoded as U+FFFD. Takes time linear in the length of `text`, or in what of it is seen to be
   * too long.
   * @throws TooManyTokensError
   */
  encode(text: string, options: EncodeOptions): Uint32Array;
  /** The ids' text; bytes that are not UTF-8 become U+FFFD. Unknown ids add nothing. */
  decode(ids: ArrayLike<number>, options?: DecodeOptions): string;
}

/** @throws ModelLoadError when the tokenizer is of an unsupported kind or inconsistent. */
export function createTokenizer(source: TokenizerSource): Tokenizer {
  return new BpeTokenizer(
    source.kind === "gguf" ? readGgufTokenizer(source) : readHuggingFaceTokenizer(source),
  );
}

/** What says how a piece of text is encoded. */
interface Section {
  readonly index: number;
  readonly restoreText: (text: string) => string;
  readonly maxTokens: number;
}

class BpeTokenizer implements Tokenizer {
  readonly vocabSize: number;
  readonly bosTokenId: number | null;
  readonly eosTokenId: number | null;
  readonly eosTokenIds: readonly number[];
  readonly addBos: boolean;
  readonly controlTokens: readonly AddedToken[];
  readonly tokenTable: TokenTable;
  readonly #contents: readonly string[];
  readonly #ids = new Map<string, number>();
  readonly #encoder: BytePairEncoder;
  readonly #addedTokens: AddedTokens;
  readonly #words: TextPipeline;
  readonly #addsSpace: boolean;
  readonly #longestTokenBytes: number;

  constructor(parts: TokenizerParts) {
    this.vocabSize = parts.contents.length;
    this.bosTokenId = parts.bosTokenId;
    this.eosTokenId = parts.eosTokenId;
    this.eosTokenIds = [...new Set(parts.eosTokenIds)].sort((a, b) => a - b);
    this.addBos = parts.addBos;
    this.controlTokens = parts.addedTokens.filter((token) => token.control);
    this.tokenTable = buildTokenTable(parts, this.eosTokenIds);
    const { offsets } = this.tokenTable;
    this.#longestTokenBytes = parts.contents.reduce(
      (longest, { length }, id) => Math.max(longest, length, offsets[id + 1]! - offsets[id]!),
      1,
    );
    this.#contents = parts.contents;
    for (const [id, content] of parts.contents.entries()) {
      if (!this.#ids.has(content)) this.#ids.set(content, id);
    }
    this.#encoder = parts.encoder;
    this.#addedTokens = new AddedTokens(parts.addedTokens);
    this.#addsSpace = parts.addsSpace;
    this.#words = createTextPipeline(parts.normalizer, parts.preTokenizer);
  }

  tokenId(content: string): number | undefined {
    return content === "" ? undefined : this.#ids.get(content);
  }

  tokenContent(id: number): string {
    return this.#contents[id] ?? "";
  }

  fewestTokens(numCharacters: number): number {
    // A token stands for no more characters than its own.
    return Math.ceil(numCharacters / this.#longestTokenBytes);
  }

  encode(text: string, options: EncodeOptions): Uint32Array {
    const { parseSpecial, addBos = this.addBos, restoreText = (part) => part } = options;
    const { maxTokens = Infinity, known } = options;
    const fewestTokens = this.fewestTokens(text.length);
    if (fewestTokens > maxTokens) throw new TooManyTokensError(fewestTokens);
    const ids: number[] = [];
    if (addBos && this.bosTokenId !== null) ids.push(this.bosTokenId);
    const wellFormed = text.replace(/\p{Surrogate}/gu, "\uFFFD");
    for (const [index, part] of this.#addedTokens.split(wellFormed, parseSpecial).entries()) {
      if (typeof part === "number") ids.push(part);
      else {
        const key = `${index === 0 ? "first" : "later"} ${part}`;
        let piece = known?.get(key);
        if (piece === undefined) {
          const section = { index, restoreText, maxTokens: maxTokens - ids.length };
          piece = this.#encodePiece(part, section);
          known?.set(key, piece);
        }
        for (const id of piece) ids.push(id);
      }
      if (ids.length > maxTokens) throw new TooManyTokensError(ids.length);
    }
    return Uint32Array.from(ids);
  }

  /** @throws TooManyTokensError */
  #encodePiece(text: string, { index, restoreText, maxTokens }: Section): readonly number[] {
    const encode = (words: readonly string[]): number[] => {
      const ids: number[] = [];
      for (const word of words) this.#encoder.encode(word, ids);
      return ids;
    };
    if (maxTokens < Infinity) {
      const firstLook = firstLookChars * Math.max(maxTokens, minLookTokens);
      for (let length = firstLook; length < text.length; length *= nextLookFactor) {
        const words = this.#words(restoreText(text.slice(0, length)), index);
        // Its last words may be others where the text goes on.
        const { length: numTokens } = encode(words.slice(0, -2));
        if (numTokens > maxTokens) throw new TooManyTokensError(numTokens);
      }
    }
    return encode(this.#words(restoreText(text), index));
  }

  decode(ids: ArrayLike<number>, options: DecodeOptions = {}): string {
    const { bytes, offsets, control, controlTexts } = this.tokenTable;
    const controlText = (id: number): Uint8Array =>
      (options.keepSpecial === true && controlTexts.get(id)) || nothing;
    let length = 0;
    for (let i = 0; i < ids.length; i++) {
      const id = ids[i]!;
      if (id >= this.vocabSize) continue;
      length += control[id] === 0 ? offsets[id + 1]! - offsets[id]! : controlText(id).length;
    }
    const all = new Uint8Array(length);
    let end = 0;
    for (let i = 0; i < ids.length; i++) {
      const id = ids[i]!;
      if (id >= this.vocabSize) continue;
      if (control[id] === 0) {
        for (let at = offsets[id]!; at < offsets[id + 1]!; at++) all[end++] = bytes[at]!;
      } else {
        const shown = controlText(id);
        all.set(shown, end);
        end += shown.length;
      }
    }
    const text = utf8.decode(all);
    return this.#addsSpace && text.startsWith(" ") ? text.slice(1) : text;
  }
}

const nothing = new Uint8Array();

const utf8 = new TextDecoder("utf-8", { ignoreBOM: true });

function buildTokenTable(parts: TokenizerParts, eosTokenIds: readonly number[]): TokenTable {
  const vocabSize = parts.contents.length;
  const control = new Uint8Array(vocabSize);
  const controlTexts = new Map<number, Uint8Array>();
  const chunks: Uint8Array[] = parts.contents.map((content, id) => parts.tokenBytes(content, id));
  for (const token of parts.addedTokens) {
    control[token.id] = token.control ? 1 : 0;
    chunks[token.id] = token.control ? new Uint8Array() : Buffer.from(token.content);
    if (token.control) controlTexts.set(token.id, new TextEncoder().encode(token.content));
  }
  const offsets = new Uint32Array(vocabSize + 1);
  for (const [id, chunk] of chunks.entries()) offsets[id + 1] = offsets[id]! + chunk.length;
  // A plain Uint8Array of its own memory, so that the table can be posted to another thread.
  const bytes = new Uint8Array(offsets[vocabSize]!);
  for (const [id, chunk] of chunks.entries()) bytes.set(chunk, offsets[id]);
  return { bytes, offsets, control, controlTexts, eosTokenIds };
}
