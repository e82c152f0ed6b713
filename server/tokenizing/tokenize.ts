import type { TextCodec } from "../codec.ts";
import { InvalidRequestError } from "../errors.ts";
import type { JsonEndpoint } from "../json-endpoint.ts";
import { showChat } from "./shown-chat.ts";
import { knownInTemplates } from "../parameters/known-parameters.ts";
import { type TokenizeBody, tokenizeSchema } from "./tokenize-schemas.ts";

/** POST /tokenize */
export const tokenizeEndpoint: JsonEndpoint<TokenizeBody> = {
  schema: tokenizeSchema,
  known: knownInTemplates,
  answer({ body, loaded: { codec, engine } }) {
    const tokens = [...encode(body, codec)];
    return {
      count: tokens.length,
      max_model_len: engine.limits.contextLength,
      tokens: body.with_pieces ? tokens.map((id) => ({ id, piece: pieceOf(id, codec) })) : tokens,
      token_strs: body.return_token_strs ? tokens.map((id) => codec.tokenContent(id)) : null,
    };
  },
};

function encode(body: TokenizeBody, codec: TextCodec): Uint32Array {
  const { prompt, content, messages } = body;
  const asked = body.add_special_tokens ?? body.add_special;
  if (messages !== undefined) {
    if (asked === true) {
      const message = "add_special_tokens: the chat template adds them; expected false (got true)";
      throw new InvalidRequestError(message, "add_special_tokens");
    }
    return showChat({ ...body, messages }, codec, (...chat) => codec.encodeChat(...chat));
  }
  return codec.encodeText(prompt ?? content ?? "", {
    addSpecialTokens: asked ?? prompt !== undefined,
    parseSpecial: body.parse_special,
  });
}

/** As llama.cpp has it: text, or the bytes of what is not whole characters. */
function pieceOf(tokenId: number, codec: TextCodec): string | number[] {
  const bytes = codec.tokenBytes(tokenId);
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return [...bytes];
  }
}
