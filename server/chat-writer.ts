import type { FinishReason, TextEvent } from "../engine/request.ts";
import type { ChoiceWriter } from "./answer.ts";
import type { TextCodec } from "./codec.ts";
import { toChatLogprobs } from "./token-logprobs.ts";

/** Spells a choice of a chat completion. */
export class ChatWriter implements ChoiceWriter {
  readonly #index: number;
  /** Null where nobody asks for log-probabilities. */
  readonly #codec: TextCodec | null;
  readonly #logprobs: object[] = [];
  #content = "";

  /** @param codec null where nobody asks for log-probabilities */
  constructor(index: number, codec: TextCodec | null) {
    this.#index = index;
    this.#codec = codec;
  }

  first(): object {
    return this.#piece({ role: "assistant", content: "" }, [], null);
  }

  write(event: TextEvent): readonly object[] {
    const { text } = event;
    const logprobs = this.#read(event);
    this.#content += text;
    if (text === "" && logprobs.length === 0) return [];
    return [this.#piece({ content: text }, logprobs, null)];
  }

  last(reason: FinishReason): object {
    return this.#piece({}, [], reason);
  }

  whole(reason: FinishReason): object {
    return {
      index: this.#index,
      message: { role: "assistant", content: this.#content, refusal: null },
      logprobs: this.#codec && { content: this.#logprobs, refusal: null },
      finish_reason: reason,
    };
  }

  #read({ logprobs = [] }: TextEvent): object[] {
    const codec = this.#codec;
    if (codec === null) return [];
    const entries = logprobs.map((token) => toChatLogprobs(token, codec));
    this.#logprobs.push(...entries);
    return entries;
  }

  #piece(delta: object, logprobs: readonly object[], finishReason: string | null): object {
    return {
      index: this.#index,
      delta,
      logprobs: logprobs.length === 0 ? null : { content: logprobs, refusal: null },
      finish_reason: finishReason,
    };
  }
}
