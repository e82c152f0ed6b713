import type { FinishReason, TextEvent } from "../../engine/contract/request.ts";
import type { ChoiceWriter } from "./answer.ts";
import type { TextCodec } from "../text/codec.ts";
import {
  CompletionLogprobs,
  type CompletionLogprobsPiece,
  joinLogprobs,
} from "./token-logprobs.ts";

/** What comes before the answer, where the client wants to see it. */
export interface Echo {
  readonly text: string;
  readonly tokenIds: Uint32Array;
}

/** Spells a choice of a text completion. */
export class CompletionWriter implements ChoiceWriter {
  readonly reasoningTokens = null;
  readonly #index: number;
  readonly #codec: TextCodec;
  readonly #keepsControl: boolean;
  readonly #logprobs: CompletionLogprobs | null;
  readonly #pieces: CompletionLogprobsPiece[] = [];
  /** Until it has been written. */
  #echo: Echo | null;
  #text = "";

  constructor(
    index: number,
    codec: TextCodec,
    options: {
      readonly echo: Echo | null;
      readonly wantsLogprobs: boolean;
      /** Control tokens are part of the text. */
      readonly keepsControl: boolean;
    },
  ) {
    this.#index = index;
    this.#codec = codec;
    this.#echo = options.echo;
    this.#keepsControl = options.keepsControl;
    this.#logprobs = options.wantsLogprobs ? new CompletionLogprobs(codec) : null;
  }

  first(): undefined {
    return undefined;
  }

  write(event: TextEvent): readonly object[] {
    const pieces: object[] = [];
    if (this.#echo !== null) {
      pieces.push(this.#piece(this.#echo.text, this.#readPrompt(this.#echo, event)));
      this.#echo = null;
    }
    const logprobs = this.#read(event);
    if (event.text !== "" || logprobs !== null) pieces.push(this.#piece(event.text, logprobs));
    return pieces;
  }

  last(reason: FinishReason): object {
    return this.#choice("", null, reason);
  }

  whole(reason: FinishReason): object {
    return this.#choice(this.#text, this.#logprobs && joinLogprobs(this.#pieces), reason);
  }

  #readPrompt({ text, tokenIds }: Echo, event: TextEvent): CompletionLogprobsPiece | null {
    if (this.#logprobs === null) return null;
    const { promptLogprobs = [] } = event;
    const tokens = Array.from(tokenIds, (tokenId, i) => ({
      tokenId,
      logprobs: promptLogprobs[i] ?? null,
    }));
    // The start token that the model wants is not in what the client wrote.
    const isAdded = !text.startsWith(this.#codec.tokenContent(tokenIds[0]!));
    return this.#logprobs.next(
      tokens,
      (id, i) => !(i === 0 && isAdded && this.#codec.isControl(id)),
    );
  }

  #read({ logprobs = [] }: TextEvent): CompletionLogprobsPiece | null {
    if (this.#logprobs === null || logprobs.length === 0) return null;
    const tokens = logprobs.map((token) => ({ tokenId: token.tokenId, logprobs: token }));
    return this.#logprobs.next(tokens, (id) => this.#keepsControl || !this.#codec.isControl(id));
  }

  #piece(text: string, logprobs: CompletionLogprobsPiece | null): object {
    this.#text += text;
    if (logprobs !== null) this.#pieces.push(logprobs);
    return this.#choice(text, logprobs, null);
  }

  #choice(text: string, logprobs: object | null, finishReason: string | null): object {
    return { index: this.#index, text, logprobs, finish_reason: finishReason };
  }
}
