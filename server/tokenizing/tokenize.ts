import { TooManyTokensError } from "../../model/errors.ts";
import type { TextCodec } from "../text/codec.ts";
import { InvalidRequestError, withinTime } from "../base/errors.ts";
import type { JsonEndpoint } from "../generation/json-endpoint.ts";
import { showChat } from "./shown-chat.ts";
import { knownInTemplates } from "../parameters/known-parameters.ts";
import { requestLimits } from "../base/request-limits.ts";
import { sources, type TokenizeBody, tokenizeSchema } from "./tokenize-schemas.ts";

/** POST /tokenize */
export const tokenizeEndpoint: JsonEndpoint<TokenizeBody> = {
  schema: tokenizeSchema,
  known: knownInTemplates,
  async answer({ body, loaded: { codec, engine } }) {
    const { contextLength } = engine.limits;
    const tokens = [...(await encode(body, codec, Math.max(contextLength, requestLimits.tokens)))];
    return {
      count: tokens.length,
      max_model_len: contextLength,
      tokens: body.with_pieces ? withPieces(tokens, codec) : tokens,
      token_strs: body.return_token_strs ? tokens.map((id) => codec.tokenContent(id)) : null,
    };
  },
};

async function encode(
  body: TokenizeBody,
  codec: TextCodec,
  maxTokens: number,
): Promise<Uint32Array> {
  const field = sources.find((name) => body[name] !== undefined)!;
  try {
    return await withinTime(field, () => encodeSource(body, codec, maxTokens));
  } catch (error) {
    if (!(error instanceof TooManyTokensError)) throw error;
    const message = `${field}: expected at most ${maxTokens} tokens, got at least ${error.numTokens}`;
    throw new InvalidRequestError(message, field);
  }
}

async function encodeSource(
  body: TokenizeBody,
  codec: TextCodec,
  maxTokens: number,
): Promise<Uint32Array> {
  const { prompt, content, messages } = body;
  const asked = body.add_special_tokens ?? body.add_special;
  if (messages !== undefined) {
    if (asked === true) {
      const message = "add_special_tokens: the chat template adds them; expected false (got true)";
      throw new InvalidRequestError(message, "add_special_tokens");
    }
    const { tokenIds } = await showChat({ ...body, messages }, codec, (...chat) =>
      codec.encodeChat(...chat, { maxTokens }),
    );
    return tokenIds;
  }
  const [tokenIds] = await codec.encodeTexts([prompt ?? content ?? ""], {
    addSpecialTokens: asked ?? prompt !== undefined,
    parseSpecial: body.parse_special,
    maxTokens,
  });
  return tokenIds!;
}

/** As llama.cpp has it: each token's text, or the bytes of what is not whole characters. */
function withPieces(tokens: readonly number[], codec: TextCodec): object[] {
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  const pieces = new Map<number, { id: number; piece: string | number[] }>();
  return tokens.map((id) => {
    const known = pieces.get(id);
    if (known !== undefined) return known;
    const shown = { id, piece: pieceOf(codec.tokenBytes(id), decoder) };
    pieces.set(id, shown);
    return shown;
  });
}

function pieceOf(bytes: Uint8Array, decoder: InstanceType<typeof TextDecoder>): string | number[] {
  try {
    return decoder.decode(bytes);
  } catch {
    return [...bytes];
  }
}
