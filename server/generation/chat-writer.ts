import { randomUUID } from "node:crypto";
import type { FinishReason, TextEvent } from "../../engine/contract/request.ts";
import type { ChoiceWriter } from "./answer.ts";
import type { TextCodec } from "../text/codec.ts";
import type { Reasoning } from "./reasoning.ts";
import { ReasoningParser, type ReasoningPiece } from "./reasoning-parser.ts";
import { toChatLogprobs } from "./token-logprobs.ts";
import type { ToolPiece, ToolPieceParser } from "../tools/tool-call-format.ts";

interface WrittenCall {
  readonly id: string;
  readonly type: "function";
  readonly function: { readonly name: string; arguments: string };
}

export interface ChatWriterOptions {
  /** Null where nobody asks for log-probabilities. */
  readonly codec?: TextCodec | null;
  /** Null where no tool may be called: then nothing is taken for a call. */
  readonly parser?: ToolPieceParser | null;
  /** Null where nothing is taken for reasoning. */
  readonly reasoning?: Reasoning | null;
}

type ChatPiece = ToolPiece | { readonly kind: "reasoning"; readonly text: string };

/** Spells a choice of a chat completion. */
export class ChatWriter implements ChoiceWriter {
  readonly #index: number;
  /** Null where nobody asks for log-probabilities. */
  readonly #codec: TextCodec | null;
  readonly #parser: ToolPieceParser | null;
  readonly #reasoningParser: ReasoningParser | null;
  readonly #showsReasoning: boolean;
  readonly #logprobs: object[] = [];
  readonly #calls: WrittenCall[] = [];
  #content = "";
  #reasoning = "";
  #tokens = 0;
  #reasoningTokens = 0;

  constructor(
    index: number,
    { codec = null, parser = null, reasoning = null }: ChatWriterOptions = {},
  ) {
    this.#index = index;
    this.#codec = codec;
    this.#parser = parser;
    this.#reasoningParser = reasoning && new ReasoningParser(reasoning.isOpen);
    this.#showsReasoning = reasoning?.isShown ?? false;
  }

  get reasoningTokens(): number | null {
    return this.#reasoningParser && this.#reasoningTokens;
  }

  first(): object {
    return this.#piece({ role: "assistant", content: "" }, [], null);
  }

  write(event: TextEvent): readonly object[] {
    const logprobs = this.#read(event);
    const deltas = this.#parse(event).map((piece) => this.#add(piece));
    // Tokens come with the text that they end, or alone while it is held back.
    if (deltas.length === 0 && logprobs.length > 0) {
      const isText = this.#reasoningParser?.isText ?? true;
      deltas.push(isText ? { content: "" } : {});
    }
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
        ...(this.#reasoning !== "" && { reasoning_content: this.#reasoning }),
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

  #parse(event: TextEvent): ChatPiece[] {
    const pieces = this.#split(event).flatMap((piece): ChatPiece[] => {
      if (piece.kind === "text") return this.#parser?.push(piece.text) ?? [piece];
      return this.#showsReasoning ? [piece] : [];
    });
    return event.type === "finish" ? [...pieces, ...(this.#parser?.end() ?? [])] : pieces;
  }

  /** Reasoning, and the text that follows. */
  #split({ type, text, numTokens }: TextEvent): ReasoningPiece[] {
    const parser = this.#reasoningParser;
    if (parser === null) return text === "" ? [] : [{ kind: "text", text }];
    const wasReasoning = parser.isReasoning;
    const pieces = parser.push(text);
    this.#tokens += numTokens;
    // Nothing comes before the reasoning, whose tags count as well.
    if (wasReasoning || parser.isReasoning) this.#reasoningTokens = this.#tokens;
    return type === "finish" ? [...pieces, ...parser.end()] : pieces;
  }

  /** @returns the delta of a piece */
  #add(piece: ChatPiece): object {
    if (piece.kind === "reasoning") {
      this.#reasoning += piece.text;
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
