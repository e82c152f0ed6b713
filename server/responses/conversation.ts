import { samplingFields } from "../generation/sampling-fields.ts";
import { type ConversationItem, joinTexts } from "./items.ts";
import type { ResponsesBody } from "./request-schema.ts";

/** A message as the chat endpoint takes it. */
export interface ConversationMessage {
  readonly role: "user" | "assistant" | "system" | "developer" | "tool";
  readonly content: string;
  readonly reasoning_content?: string;
  readonly tool_calls?: readonly ConversationCall[];
  readonly tool_call_id?: string;
}

export interface ConversationCall {
  readonly id: string;
  readonly type: "function";
  readonly function: { readonly name: string; readonly arguments: string };
}

export function toMessages(items: readonly ConversationItem[]): ConversationMessage[] {
  const messages: ConversationMessage[] = [];
  for (const [index, item] of items.entries()) {
    if (item.type === "reasoning") continue;
    const before = items[index - 1];
    const thought = before?.type === "reasoning" ? joinTexts(before.content.map(textOf)) : "";
    addItem(messages, item, thought);
  }
  return messages;
}

/** @param thought - what the model thought before it, for which only messages of the assistant have a place */
function addItem(
  messages: ConversationMessage[],
  item: Exclude<ConversationItem, { readonly type: "reasoning" }>,
  thought: string,
): void {
  const reasoning = thought === "" ? {} : { reasoning_content: thought };
  if (item.type === "function_call_output") {
    messages.push({ role: "tool", content: item.output, tool_call_id: item.call_id });
  } else if (item.type === "function_call") {
    const { call_id: id, name } = item;
    const call: ConversationCall = {
      id,
      type: "function",
      function: { name, arguments: item.arguments },
    };
    // The calls of one turn are items of their own here, and one message in a chat.
    const last = messages.at(-1);
    const turn = last?.role === "assistant" && thought === "" ? last : null;
    if (turn !== null) messages.pop();
    messages.push({
      ...(turn ?? reasoning),
      role: "assistant",
      content: turn?.content ?? "",
      tool_calls: [...(turn?.tool_calls ?? []), call],
    });
  } else {
    const content = joinTexts(item.content.map(textOf));
    const last = messages.at(-1);
    // What the model says after its calls belongs to the same turn.
    if (item.role === "assistant" && last?.tool_calls !== undefined && thought === "") {
      messages[messages.length - 1] = { ...last, content: last.content + content };
    } else {
      messages.push({ role: item.role, content, ...(item.role === "assistant" && reasoning) });
    }
  }
}

function textOf({ text }: { readonly text: string }): string {
  return text;
}

/** What a request says of how tokens are drawn, under the names that chat has for it too. */
export function samplingOf(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const isSampling = ([name]: readonly [string, unknown]) => Object.hasOwn(samplingFields, name);
  return Object.fromEntries(Object.entries(fields).filter(isSampling));
}

/** The same request for the chat endpoint, but for `samplingOf` it. */
export function toChatBody(
  body: ResponsesBody,
  messages: readonly ConversationMessage[],
): Record<string, unknown> {
  const { instructions, text, tools, tool_choice: choice } = body;
  const logprobs = body.top_logprobs > 0 || body.include.includes("message.output_text.logprobs");
  return {
    model: body.model,
    messages: [
      ...(instructions === undefined ? [] : [{ role: "system", content: instructions }]),
      ...messages,
    ],
    max_completion_tokens: body.max_output_tokens,
    reasoning_effort: body.reasoning.effort,
    reasoning_format: body.reasoning_format,
    include_reasoning: body.include_reasoning,
    stream: body.stream,
    ...(logprobs && { logprobs, top_logprobs: body.top_logprobs }),
    ...toResponseFormat(text?.format),
    ...((tools.length > 0 || choice !== "auto") && {
      tools: tools.map(toChatTool),
      tool_choice: toChatChoice(choice),
      parallel_tool_calls: body.parallel_tool_calls,
    }),
  };
}

function toChatTool(tool: ResponsesBody["tools"][number]): object {
  if (tool.type === "foreign") return { type: tool.name };
  const { type, ...definition } = tool;
  return { type, function: definition };
}

function toChatChoice(choice: ResponsesBody["tool_choice"]): string | object {
  if (typeof choice === "string") return choice;
  if ("name" in choice) return { type: "function", function: { name: choice.name } };
  if (!("mode" in choice)) return choice;
  const { type, mode, tools } = choice;
  return { type, allowed_tools: { mode, tools: tools.map(toChatChoice) } };
}

type Format = NonNullable<NonNullable<ResponsesBody["text"]>["format"]>;

function toResponseFormat(format: Format | null | undefined): object {
  if (format == null || format.type === "text") return {};
  if (format.type === "json_object") return { response_format: { type: "json_object" } };
  const { type, ...definition } = format;
  return { response_format: { type, json_schema: definition } };
}
