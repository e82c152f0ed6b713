import type { TokenLogprobs } from "../../engine/contract/logprobs.ts";
import type { TextCodec } from "../text/codec.ts";

/** More of the most likely tokens than anybody looks at. */
export const maxTopLogprobs = 20;

/** An entry of `logprobs.content` of a chat completion. */
export function toChatLogprobs({ tokenId, logprob, top }: TokenLogprobs, codec: TextCodec): object {
  return {
    ...toEntry(tokenId, logprob, codec),
    top_logprobs: top.map(([id, value]) => toEntry(id, value, codec)),
  };
}

function toEntry(tokenId: number, logprob: number, codec: TextCodec): object {
  const bytes = [...codec.tokenBytes(tokenId)];
  return { token: tokenText(tokenId, codec), logprob: finite(logprob), bytes };
}

/** JSON knows no infinity; this one is the smallest number that the OpenAI protocol has. */
function finite(logprob: number): number {
  return Math.max(logprob, -9999);
}

const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The token's text, or `bytes:\xe2\x80` where it is only a part of a character. */
function tokenText(tokenId: number, codec: TextCodec): string {
  const bytes = codec.tokenBytes(tokenId);
  try {
    return strictUtf8.decode(bytes);
  } catch {
    const hex = (byte: number) => `\\x${byte.toString(16).padStart(2, "0")}`;
    return `bytes:${Array.from(bytes, hex).join("")}`;
  }
}

/** Spells the `logprobs` of a text completion, token after token. */
export class CompletionLogprobs {
  readonly #codec: TextCodec;
  readonly #decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  /** Code points of the text so far. */
  #offset = 0;

  constructor(codec: TextCodec) {
    this.#codec = codec;
  }

  /**
   * The next tokens, whose first has the text offset that the ones before have come to.
   * @param tokens null for one that nothing comes before
   * @param isVisible whether a token's text is part of the answer's; control tokens are not, where they were generated
   */
  next(
    tokens: readonly { readonly tokenId: number; readonly logprobs: TokenLogprobs | null }[],
    isVisible: (tokenId: number, index: number) => boolean,
  ): CompletionLogprobsPiece {
    const piece: CompletionLogprobsPiece = {
      text_offset: [],
      token_logprobs: [],
      tokens: [],
      top_logprobs: [],
    };
    for (const [index, { tokenId, logprobs }] of tokens.entries()) {
      piece.text_offset.push(this.#offset);
      piece.tokens.push(tokenText(tokenId, this.#codec));
      piece.token_logprobs.push(logprobs && finite(logprobs.logprob));
      piece.top_logprobs.push(logprobs && this.#topOf(logprobs));
      if (!isVisible(tokenId, index)) continue;
      const text = this.#decoder.decode(this.#codec.tokenBytes(tokenId), { stream: true });
      this.#offset += [...text].length;
    }
    return piece;
  }

  /** The token itself is among them, whether it is one of the most likely or not. */
  #topOf({ tokenId, logprob, top }: TokenLogprobs): Record<string, number> {
    const byText = new Map<string, number>();
    for (const [id, value] of [...top, [tokenId, logprob] as const]) {
      const text = tokenText(id, this.#codec);
      // Of tokens that read the same the most likely one stays.
      if (!byText.has(text)) byText.set(text, finite(value));
    }
    return Object.fromEntries(byText);
  }
}

export interface CompletionLogprobsPiece {
  readonly text_offset: number[];
  readonly token_logprobs: (number | null)[];
  readonly tokens: string[];
  readonly top_logprobs: (Record<string, number> | null)[];
}

/** The pieces of a stream as one. */
export function joinLogprobs(pieces: readonly CompletionLogprobsPiece[]): CompletionLogprobsPiece {
  return {
    text_offset: pieces.flatMap((piece) => piece.text_offset),
    token_logprobs: pieces.flatMap((piece) => piece.token_logprobs),
    tokens: pieces.flatMap((piece) => piece.tokens),
    top_logprobs: pieces.flatMap((piece) => piece.top_logprobs),
  };
}
