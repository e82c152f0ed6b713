import type { AddedToken } from "./added-tokens.ts";
import { BytePairEncoder, ListedMerges } from "./bpe.ts";
import { isEndOfTurn } from "./end-of-turn.ts";
import { ModelLoadError } from "../errors.ts";
import { byteLevelBytes, findByteTokenIds, sentencePieceBytes } from "./token-bytes.ts";
import type { TokenizerParts } from "./tokenizer-parts.ts";
import type { TokenizerSource } from "./tokenizer-source.ts";

type HuggingFaceSource = Extract<TokenizerSource, { kind: "huggingface" }>;

/** The keys of tokenizer.json that are read here; the rest goes to the library as it is. */
interface TokenizerJson {
  readonly model?: {
    readonly type?: string;
    readonly vocab?: Readonly<Record<string, number>>;
    readonly merges?: readonly (string | readonly [string, string])[];
    readonly unk_token?: string | null;
    readonly fuse_unk?: boolean;
    readonly byte_fallback?: boolean;
    readonly ignore_merges?: boolean;
    readonly continuing_subword_prefix?: string | null;
    readonly end_of_word_suffix?: string | null;
  };
  readonly added_tokens?: readonly {
    readonly id: number;
    readonly content: string;
    readonly special?: boolean;
    readonly lstrip?: boolean;
    readonly rstrip?: boolean;
  }[];
  readonly normalizer?: unknown;
  readonly pre_tokenizer?: unknown;
  readonly post_processor?: unknown;
  readonly decoder?: unknown;
}

/**
 * Reads a BPE tokenizer, byte-level or SentencePiece-like, from `tokenizer.json` and its companions.
 * @throws ModelLoadError when it is of another kind, or inconsistent.
 */
export function readHuggingFaceTokenizer(source: HuggingFaceSource): TokenizerParts {
  const json: TokenizerJson = source.tokenizerJson;
  const { model } = json;
  // Old files leave the type out.
  if (model?.vocab === undefined || (model.type ?? "BPE") !== "BPE") {
    throw new ModelLoadError(
      source.path,
      `expected a model of type "BPE" with a vocab, got type ${JSON.stringify(model?.type ?? null)}`,
    );
  }
  if (model.merges === undefined) {
    throw new ModelLoadError(source.path, "model.merges: expected a list, got nothing");
  }
  if ((model.continuing_subword_prefix ?? "") !== "" || (model.end_of_word_suffix ?? "") !== "") {
    throw new ModelLoadError(
      source.path,
      "continuing_subword_prefix and end_of_word_suffix are not supported",
    );
  }
  const ids = new Map(Object.entries(model.vocab));
  for (const token of json.added_tokens ?? []) ids.set(token.content, token.id);
  const contents = contentsById(ids);

  const namedToken = (key: string): number | null => {
    const content = tokenContent(source.tokenizerConfig[key]);
    return content === null ? null : (ids.get(content) ?? null);
  };
  const bosTokenId = namedToken("bos_token");
  const eosTokenId = namedToken("eos_token");
  const ends = new Set(
    generationEnds(source.generationConfig).filter((id) => id < contents.length),
  );
  if (eosTokenId !== null) ends.add(eosTokenId);

  const addedTokens: AddedToken[] = [];
  for (const {
    id,
    content,
    special = false,
    lstrip = false,
    rstrip = false,
  } of json.added_tokens ?? []) {
    if (isEndOfTurn(content)) ends.add(id);
    const control = special || ends.has(id) || id === bosTokenId;
    addedTokens.push({ id, content, control, lstrip, rstrip });
  }

  const textTokens = new Map(Object.entries(model.vocab));
  for (const token of addedTokens) if (token.control) textTokens.delete(token.content);
  const merges = model.merges.map((merge): readonly [string, string] => {
    if (typeof merge !== "string") return merge;
    const space = merge.indexOf(" ", 1);
    return [merge.slice(0, space), merge.slice(space + 1)];
  });
  const byteLevel =
    mentionsType(json.decoder, "ByteLevel") || mentionsType(json.pre_tokenizer, "ByteLevel");
  return {
    contents,
    encoder: new BytePairEncoder(
      textTokens,
      new ListedMerges(textTokens, contents.length, merges),
      {
        byteTokenIds: model.byte_fallback === true ? findByteTokenIds(textTokens) : null,
        unknownTokenId: ids.get(model.unk_token ?? "") ?? null,
        fuseUnknown: model.fuse_unk === true,
        wholeWords: model.ignore_merges === true,
      },
    ),
    addedTokens,
    normalizer: json.normalizer ?? null,
    preTokenizer: json.pre_tokenizer ?? null,
    tokenBytes: byteLevel ? byteLevelBytes : sentencePieceBytes,
    bosTokenId,
    eosTokenId,
    eosTokenIds: [...ends],
    addBos: bosTokenId !== null && addsBos(source, json.post_processor),
    addsSpace: mentionsType(json.decoder, "Strip") || mentionsType(json.decoder, "Metaspace"),
  };
}

function contentsById(ids: ReadonlyMap<string, number>): string[] {
  let size = 0;
  for (const id of ids.values()) size = Math.max(size, id + 1);
  const contents = new Array<string>(size).fill("");
  for (const [content, id] of ids) contents[id] = content;
  return contents;
}

/** Special tokens are written as a string or as an object with its content. */
function tokenContent(value: unknown): string | null {
  if (typeof value === "string") return value;
  if (
    typeof value === "object" &&
    value !== null &&
    "content" in value &&
    typeof value.content === "string"
  ) {
    return value.content;
  }
  return null;
}

function generationEnds(config: Readonly<Record<string, unknown>> | null): number[] {
  const value = config?.eos_token_id;
  const list: readonly unknown[] = Array.isArray(value) ? value : [value];
  return list.filter((id): id is number => typeof id === "number" && id >= 0);
}

/** What the configuration says, else whether the template of single texts begins with a special token. */
function addsBos(source: HuggingFaceSource, postProcessor: unknown): boolean {
  const configured = source.tokenizerConfig.add_bos_token;
  if (typeof configured === "boolean") return configured;
  const template = findByType(postProcessor, "TemplateProcessing");
  if (template === null || !("single" in template) || !Array.isArray(template.single)) return false;
  const first: unknown = template.single[0];
  return typeof first === "object" && first !== null && "SpecialToken" in first;
}

function mentionsType(component: unknown, type: string): boolean {
  return findByType(component, type) !== null;
}

/** The component of that type in a component of tokenizer.json or in a sequence of them, or null. */
function findByType(component: unknown, type: string): object | null {
  if (typeof component !== "object" || component === null) return null;
  if ("type" in component && component.type === type) return component;
  for (const value of Object.values(component)) {
    if (!Array.isArray(value)) continue;
    for (const item of value) {
      const found = findByType(item, type);
      if (found !== null) return found;
    }
  }
  return null;
}
