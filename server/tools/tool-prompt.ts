import { ChatTemplateError } from "../../model/errors.ts";
import type { ChatMessage, TextCodec } from "../text/codec.ts";
import { withSingleCalls } from "./single-calls.ts";
import { toolCallFormatOf } from "./tool-call-formats.ts";
import { callText } from "./tool-call-text.ts";
import type { Tool, ToolCall } from "./tool-schemas.ts";

/** A conversation as the template can show it. */
export interface ToolPrompt {
  readonly messages: readonly ChatMessage[];
  /** For templates that show them themselves. */
  readonly tools?: readonly Tool[];
}

/**
 * What the template makes of a conversation with tools.
 * @param render - called again without messages of tools where the template refuses them
 * @throws ChatTemplateError
 */
export async function withToolPrompt<T>(
  conversation: readonly ChatMessage[],
  tools: readonly Tool[],
  { tokenizerInfo }: Pick<TextCodec, "tokenizerInfo">,
  render: (prompt: ToolPrompt) => Promise<T>,
): Promise<T> {
  const prompt = toolPrompt(conversation, tools, tokenizerInfo.chatTemplate);
  try {
    return await render(prompt);
  } catch (error) {
    const others = error instanceof ChatTemplateError ? withoutToolRole(prompt.messages) : null;
    if (others === null) throw error;
    return render({ ...prompt, messages: others });
  }
}

/**
 * Tells the model of the tools, of the calls so far and of what they gave. Templates that know how the
 * model writes calls do it themselves; for others it is written into the messages.
 * @param template Jinja
 */
export function toolPrompt(
  messages: readonly ChatMessage[],
  tools: readonly Tool[],
  template: string,
): ToolPrompt {
  const format = toolCallFormatOf(template);
  if (format.isKnownTo(template)) {
    const parsed = messages.map(withParsedArguments);
    const shown = format.isOnePerMessage ? withSingleCalls(parsed) : parsed;
    return tools.length === 0 ? { messages: shown } : { messages: shown, tools };
  }
  const written = messages.map(withWrittenCalls);
  return { messages: tools.length === 0 ? written : withSection(written, tools) };
}

/**
 * What the tools gave as messages of the user, for templates that know no other role; null where there is nothing of
 * the kind.
 */
export function withoutToolRole(messages: readonly ChatMessage[]): ChatMessage[] | null {
  if (messages.every(({ role }) => role !== "tool")) return null;
  const joined: ChatMessage[] = [];
  for (const [i, { role, content }] of messages.entries()) {
    if (role !== "tool") {
      joined.push(messages[i]!);
      continue;
    }
    const response = `<tool_response>\n${content}\n</tool_response>`;
    // One message for what several calls gave: some templates want the roles to alternate.
    const before = messages[i - 1]?.role === "tool" ? `${joined.pop()!.content}\n` : "";
    joined.push({ role: "user", content: before + response });
  }
  return joined;
}

/** Templates write the arguments as JSON, so that a text would be quoted twice. */
function withParsedArguments(message: ChatMessage): ChatMessage {
  const { tool_calls: calls } = message;
  if (calls === undefined) return message;
  return {
    ...message,
    tool_calls: (calls as readonly ToolCall[]).map((call) => ({
      ...call,
      function: { ...call.function, arguments: parsed(call.function.arguments) },
    })),
  };
}

function parsed(args: ToolCall["function"]["arguments"]): unknown {
  if (typeof args !== "string") return args;
  try {
    return JSON.parse(args);
  } catch {
    // What a model once wrote without a grammar may be anything.
    return args;
  }
}

function withWrittenCalls({ tool_calls: calls, ...message }: ChatMessage): ChatMessage {
  if (calls === undefined || calls.length === 0) return message;
  const texts = (calls as readonly ToolCall[]).map(({ function: { name, arguments: args } }) =>
    callText(name, typeof args === "string" ? args : JSON.stringify(args)),
  );
  return { ...message, content: [message.content, ...texts].filter(Boolean).join("\n") };
}

function withSection(messages: readonly ChatMessage[], tools: readonly Tool[]): ChatMessage[] {
  const section = `# Tools

You may call one or more functions to assist with the user query.

You are provided with function signatures within <tools></tools> XML tags:
<tools>
${tools.map((tool) => JSON.stringify(tool)).join("\n")}
</tools>

For each function call, return a json object with function name and arguments within <tool_call></tool_call> XML tags:
<tool_call>
{"name": <function-name>, "arguments": <args-json-object>}
</tool_call>`;
  const [first, ...rest] = messages;
  return first?.role === "system"
    ? [{ ...first, content: `${first.content}\n\n${section}` }, ...rest]
    : [{ role: "system", content: section }, ...messages];
}
