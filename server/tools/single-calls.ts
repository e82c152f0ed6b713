import type { ChatMessage } from "../text/codec.ts";
import type { ToolCall } from "./tool-schemas.ts";

/** A conversation in which no message has more than one call, and what it gave comes right behind it. */
export function withSingleCalls(messages: readonly ChatMessage[]): ChatMessage[] {
  const single: ChatMessage[] = [];
  for (let i = 0; i < messages.length; i++) {
    const { tool_calls: calls = [], ...message } = messages[i]!;
    if (calls.length === 0) {
      single.push(message);
      continue;
    }
    const next = messages.findIndex(({ role }, index) => index > i && role !== "tool");
    const results = messages.slice(i + 1, next < 0 ? undefined : next);
    single.push(...interleaved(message, calls as readonly ToolCall[], results));
    i += results.length;
  }
  return single;
}

function interleaved(
  message: ChatMessage,
  calls: readonly ToolCall[],
  results: readonly ChatMessage[],
): ChatMessage[] {
  const ids = new Set(calls.flatMap(({ id }) => id ?? []));
  const left = [...results];
  const turns = calls.flatMap((call, index) => {
    // What names no call is taken in order.
    const place = left.findIndex(({ tool_call_id: id }) =>
      id !== undefined && ids.has(id) ? id === call.id : true,
    );
    const result = place < 0 ? [] : left.splice(place, 1);
    // What was said and thought belongs to the first.
    const head = index === 0 ? message : { role: message.role, content: "" };
    return [{ ...head, tool_calls: [call] }, ...result];
  });
  return [...turns, ...left];
}
