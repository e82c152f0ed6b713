import type { GenerateRequest } from "../../engine/contract/request.ts";
import { tokenSet } from "../../engine/sequence/token-rules.ts";
import type { TextCodec } from "../text/codec.ts";
import { InvalidRequestError, withinTime } from "../base/errors.ts";
import type { GenerationBody } from "./request-schemas.ts";

type TokenRules = Pick<
  GenerateRequest,
  "stopTokenIds" | "includeStop" | "minTokens" | "allowedTokens" | "bannedTokens" | "keepControl"
>;

/**
 * What a body says of single tokens.
 * @throws InvalidRequestError when one is outside the vocabulary.
 */
export async function readTokenRules(
  body: GenerationBody,
  codec: Pick<TextCodec, "encodeTexts">,
  vocabSize: number,
): Promise<TokenRules> {
  const { stop_token_ids: stopTokenIds, allowed_token_ids: allowed, bad_words: words } = body;
  checkTokenIds(stopTokenIds, "stop_token_ids", vocabSize);
  checkTokenIds(allowed ?? [], "allowed_token_ids", vocabSize);
  const options = { addSpecialTokens: false, parseSpecial: false };
  const banned = await withinTime("bad_words", () =>
    codec.encodeTexts(words.flatMap(spellings), options),
  );
  const bannedTokens = banned.map((ids) => [...ids]);
  return {
    ...(stopTokenIds.length > 0 && { stopTokenIds }),
    ...(body.include_stop_str_in_output && { includeStop: true }),
    ...(body.min_tokens > 0 && { minTokens: body.min_tokens }),
    ...(allowed && { allowedTokens: tokenSet(allowed, vocabSize) }),
    ...(bannedTokens.length > 0 && { bannedTokens }),
    ...(!body.skip_special_tokens && { keepControl: true }),
  };
}

/** @throws InvalidRequestError naming the field */
export function checkTokenIds(ids: readonly number[], field: string, vocabSize: number): void {
  const outside = ids.find((id) => id >= vocabSize);
  if (outside === undefined) return;
  const message = `Token id ${outside} is outside the vocabulary of ${vocabSize} tokens.`;
  throw new InvalidRequestError(`${field}: ${message}`, field);
}

/** A word at the beginning of a text and behind a blank; as vLLM has it. */
function spellings(word: string): string[] {
  const text = word.trimStart();
  return text === "" ? [] : [text, ` ${text}`];
}
