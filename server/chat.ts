import { ChatWriter } from "./chat-writer.ts";
import type { ChatMessage, Prompt, TextCodec } from "./codec.ts";

import { InvalidRequestError } from "./errors.ts";
import type { GenerationEndpoint } from "./generation-endpoint.ts";
import { type ChatBody, chatSchema } from "./request-schemas.ts";
import { structuredGrammar } from "./structured/structured-output.ts";
import { unsupportedInChat } from "./unsupported-parameters.ts";

/** POST /v1/chat/completions */
export const chatEndpoint: GenerationEndpoint<ChatBody> = {
  schema: chatSchema,
  unsupported: unsupportedInChat,
  idPrefix: "chatcmpl",
  format: { object: "chat.completion", chunkObject: "chat.completion.chunk" },
  read(body, codec) {
    const { logprobs, top_logprobs: numTop } = body;
    if (numTop > 0 && !logprobs) {
      const message = `top_logprobs: expected 0 without logprobs (got ${numTop})`;
      throw new InvalidRequestError(message, "top_logprobs");
    }
    return {
      prompts: [toPrompt(body.messages.map(toChatMessage), codec)],
      promptField: "messages",
      tokenLimit: tokenLimitOf(body),
      defaultMaxTokens: Infinity,
      logprobs: logprobs ? { numTop } : undefined,
      grammar: structuredGrammar(body),
      writerFor: (index) => new ChatWriter(index, logprobs ? codec : null),
    };
  },
};

export function toPrompt(messages: readonly ChatMessage[], codec: TextCodec): Prompt {
  const text = messages.findLast(({ role }) => role === "user")?.content ?? "";
  return { tokenIds: codec.encodeChat(messages), text, messages };
}

/** `max_tokens` is the older name of the same limit: the newer one wins. */
function tokenLimitOf(body: ChatBody): { value: number; field: string } | undefined {
  if (body.max_completion_tokens !== undefined) {
    return { value: body.max_completion_tokens, field: "max_completion_tokens" };
  }
  return body.max_tokens === undefined
    ? undefined
    : { value: body.max_tokens, field: "max_tokens" };
}

/** A developer message is a system message to models that know no such role. */
export function toChatMessage(message: ChatBody["messages"][number]): ChatMessage {
  const { role, content, name } = message;
  return {
    role: role === "developer" ? "system" : role,
    content,
    ...(name != null && { name }),
    ...(role === "assistant" && message.tool_calls != null && { tool_calls: message.tool_calls }),
    ...(role === "tool" && message.tool_call_id != null && { tool_call_id: message.tool_call_id }),
  };
}
