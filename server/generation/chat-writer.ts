import { randomUUID } from "node:crypto";
import type { FinishReason, TextEvent } from "../../engine/contract/request.ts";
import type { ChoiceWriter } from "./answer.ts";
import type { TextCodec } from "../text/codec.ts";
import { ReasoningParser } from "./reasoning-parser.ts";
import { toChatLogprobs } from "./token-logprobs.ts";
import { ToolCallParser } from "../tools/tool-call-parser.ts";
import type { CallOptions } from "../tools/tool-call-parser.ts";
import type { ToolPiece } from "../tools/tool-piece.ts";

interface WrittenCall {
  readonly id: string;
  readonly type: "function";
  readonly function: { readonly name: string; arguments: string };
}

type ChatPiece = ToolPiece | { readonly kind: "reasoning"; readonly text: string };

export interface ChatWriterOptions {
  /** For log-probabilities. @default null: nobody asks for them */
  readonly codec?: TextCodec | null;
  /** @default null: no tool may be called */
  readonly calls?: CallOptions | null;
  /** Whether the prompt has begun what the model thinks, and whether it is told. @default null: it is text as all is */
  readonly reasoning?: { readonly isOpen: boolean; readonly isShown: boolean } | null;
}

/** Spells a choice of a chat completion. */
export class ChatWriter implements ChoiceWriter {
  readonly #index: number;
  /** Null where nobody asks for log-probabilities. */
  readonly #codec: TextCodec | null;
  /** Null where no tool may be called: then nothing is taken for a call. */
  readonly #parser: ToolCallParser | null;
  /** Null where what the model thinks is not told apart. */
  readonly #reasoning: ReasoningParser | null;
  readonly #isReasoningShown: boolean;
  readonly #logprobs: object[] = [];
  readonly #calls: WrittenCall[] = [];
  #content = "";
  #thoughts = "";

  constructor(index: number, { codec = null, calls = null, reasoning = null }: ChatWriterOptions) {
    this.#index = index;
    this.#codec = codec;
    this.#parser = calls && new ToolCallParser(calls);
    this.#reasoning = reasoning && new ReasoningParser(reasoning.isOpen);
    this.#isReasoningShown = reasoning?.isShown ?? false;
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
        ...(this.#thoughts !== "" && { reasoning_content: this.#thoughts }),
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

  #parse({ type, text }: TextEvent): ChatPiece[] {
    const isEnd = type === "finish";
    const reasoning = this.#reasoning;
    if (reasoning === null) return this.#parseAnswer(text, isEnd);
    const parts = [...reasoning.push(text), ...(isEnd ? reasoning.end() : [])];
    const pieces = parts.flatMap((part): ChatPiece[] => {
      if (part.kind === "answer") return this.#parseAnswer(part.text, false);
      return this.#isReasoningShown ? [{ kind: "reasoning", text: part.text }] : [];
    });
    return isEnd ? [...pieces, ...this.#parseAnswer("", true)] : pieces;
  }

  #parseAnswer(text: string, isEnd: boolean): ToolPiece[] {
    if (this.#parser === null) return text === "" ? [] : [{ kind: "text", text }];
    const pieces = this.#parser.push(text);
    return isEnd ? [...pieces, ...this.#parser.end()] : pieces;
  }

  /** @returns the delta of a piece */
  #add(piece: ChatPiece): object {
    if (piece.kind === "reasoning") {
      this.#thoughts += piece.text;
      return { reasoning_content: piece.text };
    }
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
