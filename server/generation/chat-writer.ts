import { randomUUID } from "node:crypto";
import type { FinishReason, TextEvent } from "../../engine/contract/request.ts";
import type { ChoiceWriter } from "./answer.ts";
import type { TextCodec } from "../text/codec.ts";
import { toChatLogprobs } from "./token-logprobs.ts";
import { ToolCallParser } from "../tools/tool-call-parser.ts";
import type { ToolPiece } from "../tools/tool-call-parser.ts";

interface WrittenCall {
  readonly id: string;
  readonly type: "function";
  readonly function: { readonly name: string; arguments: string };
}

/** Spells a choice of a chat completion. */
export class ChatWriter implements ChoiceWriter {
  readonly #index: number;
  /** Null where nobody asks for log-probabilities. */
  readonly #codec: TextCodec | null;
  /** Null where no tool may be called: then nothing is taken for a call. */
  readonly #parser: ToolCallParser | null;
  readonly #logprobs: object[] = [];
  readonly #calls: WrittenCall[] = [];
  #content = "";

  /**
   * @param codec null where nobody asks for log-probabilities
   * @param calls null where no tool may be called, and whether the text has a form
   */
  constructor(
    index: number,
    codec: TextCodec | null,
    calls: { readonly isFormed: boolean } | null = null,
  ) {
    this.#index = index;
    this.#codec = codec;
    this.#parser = calls && new ToolCallParser(calls.isFormed);
  }

  first(): object {
    return this.#piece({ role: "assistant", content: "" }, [], null);
  }

  write(event: TextEvent): readonly object[] {
    const logprobs = this.#read(event);
    const deltas = this.#parse(event).map((piece) => this.#add(piece));
    // Tokens come with the text that they end, or alone while it is held back.
    if (deltas.length === 0 && logprobs.length > 0) deltas.push({ content: "" });
    return deltas.map((delta, i) => this.#piece(delta, i === 0 ? logprobs : [], null));
  }

  last(reason: FinishReason): object {
    return this.#piece({}, [], this.#wireReason(reason));
  }

  whole(reason: FinishReason): object {
    const hasCalls = this.#calls.length > 0;
    return {
      index: this.#index,
      message: {
        role: "assistant",
        content: hasCalls && this.#content === "" ? null : this.#content,
        refusal: null,
        ...(hasCalls && { tool_calls: this.#calls }),
      },
      logprobs: this.#codec && { content: this.#logprobs, refusal: null },
      finish_reason: this.#wireReason(reason),
    };
  }

  /** An answer that was cut off says so, whatever it was about to call. */
  #wireReason(reason: FinishReason): string {
    return reason === "stop" && this.#calls.length > 0 ? "tool_calls" : reason;
  }

  #parse({ type, text }: TextEvent): ToolPiece[] {
    if (this.#parser === null) return text === "" ? [] : [{ kind: "text", text }];
    const pieces = this.#parser.push(text);
    return type === "finish" ? [...pieces, ...this.#parser.end()] : pieces;
  }

  /** @returns the delta of a piece */
  #add(piece: ToolPiece): object {
    if (piece.kind === "text") {
      this.#content += piece.text;
      return { content: piece.text };
    }
    if (piece.kind === "call") {
      const id = `call_${randomUUID().replaceAll("-", "")}`;
      const index = this.#calls.length;
      const call = { name: piece.name, arguments: "" };
      this.#calls.push({ id, type: "function", function: call });
      return { tool_calls: [{ index, id, type: "function", function: { ...call } }] };
    }
    const index = this.#calls.length - 1;
    this.#calls[index]!.function.arguments += piece.text;
    return { tool_calls: [{ index, function: { arguments: piece.text } }] };
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
