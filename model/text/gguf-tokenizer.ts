import type { AddedToken } from "./added-tokens.ts";
import { BytePairEncoder, ListedMerges, ScoredMerges } from "./bpe.ts";
import { isEndOfTurn } from "./end-of-turn.ts";
import { ModelLoadError } from "../errors.ts";
import { ggufPreTokenizers } from "./gguf-pre-tokenizers.ts";
import { byteLevelBytes, findByteTokenIds, sentencePieceBytes } from "./token-bytes.ts";
import type { TokenizerParts } from "./tokenizer-parts.ts";
import type { TokenizerSource } from "./tokenizer-source.ts";

/** `tokenizer.ggml.token_type` (llama.cpp, `enum llama_token_type`). */
const TokenType = {
  normal: 1,
  unknown: 2,
  control: 3,
  userDefined: 4,
  unused: 5,
  byte: 6,
} as const;

type GgufSource = Extract<TokenizerSource, { kind: "gguf" }>;

/**
 * Reads a byte-level (`gpt2`) or SentencePiece (`llama`) BPE tokenizer from GGUF metadata.
 * @throws ModelLoadError when a key is missing, inconsistent, or of an unsupported kind.
 */
export function readGgufTokenizer(source: GgufSource): TokenizerParts {
  const metadata = new GgufMetadata(source);
  const model = metadata.string("tokenizer.ggml.model");
  switch (model) {
    case "gpt2":
      return readByteLevel(metadata);
    case "llama":
      return readSentencePiece(metadata);
    default:
      return metadata.refuse(
        "tokenizer.ggml.model",
        `expected "gpt2" or "llama", got ${JSON.stringify(model)}`,
      );
  }
}

function readByteLevel(metadata: GgufMetadata): TokenizerParts {
  const name = metadata.optionalString("tokenizer.ggml.pre") ?? "default";
  const pre = ggufPreTokenizers.get(name);
  if (pre === undefined) {
    metadata.refuse("tokenizer.ggml.pre", `pre-tokenizer ${JSON.stringify(name)} is not supported`);
  }
  const vocabulary = readVocabulary(metadata, { bos: null, eos: null });
  const merges = metadata.strings("tokenizer.ggml.merges").map((merge): [string, string] => {
    // The first token of a merge may itself begin with a space.
    const space = merge.indexOf(" ", 1);
    if (space < 0) {
      metadata.refuse("tokenizer.ggml.merges", `expected two tokens, got ${JSON.stringify(merge)}`);
    }
    return [merge.slice(0, space), merge.slice(space + 1)];
  });
  const splits = pre.patterns.map((pattern) => ({
    type: "Split",
    pattern: { Regex: pattern },
    behavior: "Isolated",
    invert: false,
  }));
  return {
    ...vocabulary.parts,
    encoder: new BytePairEncoder(
      vocabulary.textTokens,
      new ListedMerges(vocabulary.textTokens, vocabulary.parts.contents.length, merges),
      { byteTokenIds: null, unknownTokenId: null, fuseUnknown: false, wholeWords: pre.wholeWords },
    ),
    normalizer: null,
    preTokenizer: {
      type: "Sequence",
      pretokenizers: [...splits, { type: "ByteLevel", add_prefix_space: false, use_regex: false }],
    },
    tokenBytes: byteLevelBytes,
    addBos: readAddBos(metadata, pre.addBos, vocabulary.parts.bosTokenId),
    addsSpace: false,
  };
}

function readSentencePiece(metadata: GgufMetadata): TokenizerParts {
  const vocabulary = readVocabulary(metadata, { bos: 1, eos: 2 });
  const { contents } = vocabulary.parts;
  // As llama.cpp: without scores all merges are alike.
  const scores = metadata.optionalNumbers("tokenizer.ggml.scores") ?? contents.map(() => 0);
  if (scores.length !== contents.length) {
    metadata.refuse(
      "tokenizer.ggml.scores",
      `expected ${contents.length} values, got ${scores.length}`,
    );
  }
  const addsSpace = metadata.optionalBoolean("tokenizer.ggml.add_space_prefix") ?? true;
  const spacesToMarks = { type: "Replace", pattern: { String: " " }, content: "\u2581" };
  return {
    ...vocabulary.parts,
    encoder: new BytePairEncoder(
      vocabulary.textTokens,
      new ScoredMerges(vocabulary.textTokens, contents, scores),
      {
        byteTokenIds: findByteTokenIds(vocabulary.byteTokens),
        unknownTokenId: metadata.optionalNumber("tokenizer.ggml.unknown_token_id") ?? 0,
        fuseUnknown: true,
        wholeWords: false,
      },
    ),
    normalizer: addsSpace
      ? { type: "Sequence", normalizers: [{ type: "Prepend", prepend: "\u2581" }, spacesToMarks] }
      : spacesToMarks,
    preTokenizer: null,
    tokenBytes: sentencePieceBytes,
    addBos: readAddBos(metadata, true, vocabulary.parts.bosTokenId),
    addsSpace,
  };
}

interface Vocabulary {
  readonly parts: Pick<
    TokenizerParts,
    "contents" | "addedTokens" | "bosTokenId" | "eosTokenId" | "eosTokenIds"
  >;
  /** Tokens that text is encoded to, byte tokens apart. */
  readonly textTokens: ReadonlyMap<string, number>;
  readonly byteTokens: ReadonlyMap<string, number>;
}

function readVocabulary(
  metadata: GgufMetadata,
  defaults: { readonly bos: number | null; readonly eos: number | null },
): Vocabulary {
  const contents = metadata.strings("tokenizer.ggml.tokens");
  const types =
    metadata.optionalNumbers("tokenizer.ggml.token_type") ?? contents.map(() => TokenType.normal);
  if (types.length !== contents.length) {
    metadata.refuse(
      "tokenizer.ggml.token_type",
      `expected ${contents.length} values, got ${types.length}`,
    );
  }
  const tokenId = (key: string): number | null => {
    const id = metadata.optionalNumber(key);
    return id !== undefined && id >= 0 && id < contents.length ? id : null;
  };
  const bosTokenId = tokenId("tokenizer.ggml.bos_token_id") ?? defaults.bos;
  const eosTokenId = tokenId("tokenizer.ggml.eos_token_id") ?? defaults.eos;
  const ends = new Set(
    [
      eosTokenId,
      tokenId("tokenizer.ggml.eot_token_id"),
      tokenId("tokenizer.ggml.eom_token_id"),
    ].filter((id) => id !== null),
  );
  const addedTokens: AddedToken[] = [];
  const textTokens = new Map<string, number>();
  const byteTokens = new Map<string, number>();
  for (const [id, content] of contents.entries()) {
    const type = types[id]!;
    // Some files type the end of a turn as ordinary text.
    if (isEndOfTurn(content) && type !== TokenType.byte) ends.add(id);
    const control =
      type === TokenType.control || type === TokenType.unknown || ends.has(id) || id === bosTokenId;
    if (control || type === TokenType.userDefined) {
      addedTokens.push({ id, content, control, lstrip: false, rstrip: false });
    } else if (type === TokenType.byte) {
      byteTokens.set(content, id);
    } else if (type !== TokenType.unused && !textTokens.has(content)) {
      textTokens.set(content, id);
    }
  }
  return {
    parts: { contents, addedTokens, bosTokenId, eosTokenId, eosTokenIds: [...ends] },
    textTokens,
    byteTokens,
  };
}

function readAddBos(
  metadata: GgufMetadata,
  byDefault: boolean,
  bosTokenId: number | null,
): boolean {
  const key = "tokenizer.ggml.add_bos_token";
  const addBos = metadata.optionalBoolean(key) ?? byDefault;
  if (addBos && bosTokenId === null) {
    metadata.refuse(key, "is on, but tokenizer.ggml.bos_token_id names no token");
  }
  return addBos;
}

class GgufMetadata {
  readonly #path: string;
  readonly #metadata: Readonly<Record<string, unknown>>;

  constructor({ path, metadata }: GgufSource) {
    this.#path = path;
    this.#metadata = metadata;
  }

  refuse(key: string, problem: string): never {
    throw new ModelLoadError(this.#path, `${key}: ${problem}`);
  }

  string(key: string): string {
    return this.optionalString(key) ?? this.#fail(key, "a string");
  }

  optionalString(key: string): string | undefined {
    const value = this.#metadata[key];
    return value === undefined || typeof value === "string" ? value : this.#fail(key, "a string");
  }

  optionalBoolean(key: string): boolean | undefined {
    const value = this.#metadata[key];
    return value === undefined || typeof value === "boolean" ? value : this.#fail(key, "a boolean");
  }

  optionalNumber(key: string): number | undefined {
    const value = this.#metadata[key];
    if (typeof value === "bigint") return Number(value);
    return value === undefined || typeof value === "number" ? value : this.#fail(key, "a number");
  }

  strings(key: string): readonly string[] {
    const value = this.#metadata[key];
    return Array.isArray(value) && value.every((item) => typeof item === "string")
      ? value
      : this.#fail(key, "a list of strings");
  }

  numbers(key: string): readonly number[] {
    return this.optionalNumbers(key) ?? this.#fail(key, "a list of numbers");
  }

  optionalNumbers(key: string): readonly number[] | undefined {
    const value = this.#metadata[key];
    if (value === undefined) return undefined;
    return Array.isArray(value) && value.every((item) => typeof item === "number")
      ? value
      : this.#fail(key, "a list of numbers");
  }

  #fail(key: string, expected: string): never {
    const value = this.#metadata[key];
    this.refuse(key, `expected ${expected}, got ${value === undefined ? "nothing" : typeof value}`);
  }
}
