import {
  type CallItem,
  emptyText,
  type ItemStatus,
  type MessageItem,
  newId,
  type OutputItem,
  type ReasoningItem,
  type TextPart,
} from "./items.ts";

/** One event of a streamed response; `type` says which. */
export interface ResponseEvent {
  readonly type: string;
  readonly [field: string]: unknown;
}

/** What of a chat's choice becomes part of a response. */
export interface ChatPiece {
  readonly delta: {
    readonly content?: string | null;
    readonly reasoning_content?: string;
    readonly tool_calls?: readonly {
      readonly id?: string;
      readonly function?: { readonly name?: string; readonly arguments?: string };
    }[];
  };
  readonly logprobs: { readonly content: readonly object[] } | null;
}

/** The output items of a response: made of the pieces of a chat's choice, and told as events. */
export class ResponseOutput {
  readonly #done: OutputItem[] = [];
  /** The last item, while it grows. */
  #open: OutputItem | null = null;

  /** All items, the one that grows included. */
  get items(): readonly OutputItem[] {
    return this.#open === null ? this.#done : [...this.#done, this.#open];
  }

  *take({ delta, logprobs }: ChatPiece): Generator<ResponseEvent> {
    const { content, reasoning_content: reasoning, tool_calls: calls = [] } = delta;
    const tokens = logprobs?.content ?? [];
    if (reasoning !== undefined) yield* this.#addReasoning(reasoning);
    if (typeof content === "string" && (content !== "" || tokens.length > 0)) {
      yield* this.#addText(content, tokens);
    }
    for (const { id, function: called } of calls) {
      if (id !== undefined) yield* this.#beginCall(id, called?.name ?? "");
      if (called?.arguments) yield* this.#addArguments(called.arguments);
    }
  }

  /** No more pieces come. @param isWhole the answer was not cut off */
  *finish(isWhole: boolean): Generator<ResponseEvent> {
    if (this.items.every(({ type }) => type === "reasoning")) yield* this.#addText("", []);
    yield* this.#close(isWhole ? "completed" : "incomplete");
  }

  *#addReasoning(delta: string): Generator<ResponseEvent> {
    if (this.#open?.type !== "reasoning") yield* this.#beginReasoning();
    const item = this.#open as ReasoningItem;
    const text = reasoningOf(item) + delta;
    this.#open = { ...item, content: [{ type: "reasoning_text", text }] };
    yield { type: "response.reasoning_text.delta", ...this.#place(), content_index: 0, delta };
  }

  *#beginReasoning(): Generator<ResponseEvent> {
    yield* this.#close("completed");
    const id = newId("rs");
    yield this.#begin({ id, type: "reasoning", status: "in_progress", summary: [], content: [] });
    const part = { type: "reasoning_text", text: "" };
    yield { type: "response.content_part.added", ...this.#place(), content_index: 0, part };
  }

  *#addText(delta: string, logprobs: readonly object[]): Generator<ResponseEvent> {
    if (this.#open?.type !== "message") yield* this.#beginMessage();
    const item = this.#open as MessageItem;
    const part = textOf(item);
    const text = part.text + delta;
    const content = [{ ...part, text, logprobs: [...part.logprobs, ...logprobs] }] as const;
    this.#open = { ...item, content };
    if (delta === "" && logprobs.length === 0) return;
    yield {
      type: "response.output_text.delta",
      ...this.#place(),
      content_index: 0,
      delta,
      logprobs,
    };
  }

  *#beginMessage(): Generator<ResponseEvent> {
    yield* this.#close("completed");
    const role = "assistant";
    yield this.#begin({
      id: newId("msg"),
      type: "message",
      status: "in_progress",
      role,
      content: [],
    });
    const part = emptyText;
    yield { type: "response.content_part.added", ...this.#place(), content_index: 0, part };
  }

  *#beginCall(callId: string, name: string): Generator<ResponseEvent> {
    yield* this.#close("completed");
    yield this.#begin({
      id: newId("fc"),
      type: "function_call",
      status: "in_progress",
      call_id: callId,
      name,
      arguments: "",
    });
  }

  *#addArguments(delta: string): Generator<ResponseEvent> {
    const item = this.#open as CallItem;
    this.#open = { ...item, arguments: item.arguments + delta };
    yield { type: "response.function_call_arguments.delta", ...this.#place(), delta };
  }

  #begin(item: OutputItem): ResponseEvent {
    this.#open = item;
    return { type: "response.output_item.added", output_index: this.#done.length, item };
  }

  *#close(status: ItemStatus): Generator<ResponseEvent> {
    if (this.#open === null) return;
    const item = { ...this.#open, status };
    const place = this.#place();
    if (item.type === "message") {
      const part = textOf(item);
      const { text, logprobs } = part;
      const where = { ...place, content_index: 0 };
      yield { type: "response.output_text.done", ...where, text, logprobs };
      yield { type: "response.content_part.done", ...where, part };
    } else if (item.type === "reasoning") {
      const text = reasoningOf(item);
      const where = { ...place, content_index: 0 };
      yield { type: "response.reasoning_text.done", ...where, text };
      const part = { type: "reasoning_text", text };
      yield { type: "response.content_part.done", ...where, part };
    } else {
      const { name, arguments: text } = item;
      yield { type: "response.function_call_arguments.done", ...place, name, arguments: text };
    }
    const { output_index } = place;
    this.#done.push(item);
    this.#open = null;
    yield { type: "response.output_item.done", output_index, item };
  }

  #place() {
    return { item_id: this.#open!.id, output_index: this.#done.length };
  }
}

function textOf({ content }: MessageItem): TextPart {
  return content[0] ?? emptyText;
}

function reasoningOf({ content }: ReasoningItem): string {
  return content[0]?.text ?? "";
}
