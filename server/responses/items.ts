import { randomUUID } from "node:crypto";
import type { ResponsesBody, ResponsesItem } from "./request-schema.ts";

export type ItemStatus = "in_progress" | "completed" | "incomplete";

/** What somebody else than the model says. */
export interface InputMessage {
  readonly id: string;
  readonly type: "message";
  readonly status: "completed";
  readonly role: "user" | "system" | "developer";
  readonly content: readonly { readonly type: "input_text"; readonly text: string }[];
}

export interface MessageItem {
  readonly id: string;
  readonly type: "message";
  readonly status: ItemStatus;
  readonly role: "assistant";
  readonly content: readonly TextPart[];
}

export interface TextPart {
  readonly type: "output_text";
  readonly text: string;
  readonly annotations: readonly [];
  readonly logprobs: readonly object[];
}

/** What the model thinks before it answers. */
export interface ReasoningItem {
  readonly id: string;
  readonly type: "reasoning";
  readonly status: ItemStatus;
  readonly summary: readonly [];
  readonly content: readonly ReasoningPart[];
}

export interface ReasoningPart {
  readonly type: "reasoning_text";
  readonly text: string;
}

export interface CallItem {
  readonly id: string;
  readonly type: "function_call";
  readonly status: ItemStatus;
  readonly call_id: string;
  readonly name: string;
  readonly arguments: string;
}

export interface CallOutputItem {
  readonly id: string;
  readonly type: "function_call_output";
  readonly status: "completed";
  readonly call_id: string;
  readonly output: string;
}

/** What the model makes. */
export type OutputItem = ReasoningItem | MessageItem | CallItem;

/** What a conversation is made of, in the words of the API. */
export type ConversationItem = InputMessage | CallOutputItem | OutputItem;

type GivenItem = Exclude<ResponsesItem, { readonly type: "passed_over" | "item_reference" }>;

/**
 * What a request adds to a conversation, its instructions left out.
 * @param find the item that the server gave an id, by that id and the field that has it
 * @throws what `find` throws
 */
export function toItems(
  input: ResponsesBody["input"],
  find: (id: string, param: string) => ConversationItem,
): ConversationItem[] {
  if (typeof input === "string") return [toItem({ role: "user", content: [input] })];
  return input.flatMap((item, index) => {
    if (item.type === "passed_over") return [];
    return item.type === "item_reference" ? find(item.id, `input[${index}].id`) : toItem(item);
  });
}

function toItem(item: GivenItem): ConversationItem {
  const status = "completed";
  if (item.type === "function_call") return { id: newId("fc"), status, ...item };
  if (item.type === "function_call_output") {
    return { id: newId("fco"), status, ...item, output: joinTexts(item.output) };
  }
  if (item.type === "reasoning") {
    const content = item.content.map((text) => ({ type: "reasoning_text" as const, text }));
    return { id: newId("rs"), type: "reasoning", status, summary: [], content };
  }
  const head = { id: newId("msg"), type: "message", status } as const;
  const { role, content } = item;
  return role === "assistant"
    ? { ...head, role, content: content.map((text) => ({ ...emptyText, text })) }
    : { ...head, role, content: content.map((text) => ({ type: "input_text", text })) };
}

export const emptyText: TextPart = {
  type: "output_text",
  text: "",
  annotations: [],
  logprobs: [],
};

/** Parts of a text as chat joins them. */
export function joinTexts(texts: readonly string[]): string {
  return texts.join("\n");
}

export function newId(prefix: string): string {
  return `${prefix}_${randomUUID().replaceAll("-", "")}`;
}
