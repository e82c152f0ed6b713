import type { AnswerFormat } from "./answer.ts";
import type { ChatMessage, Prompt, TextCodec } from "./codec.ts";
import type { GenerationEndpoint } from "./generation-endpoint.ts";
import { type ChatBody, chatSchema } from "./request-schemas.ts";
import { unsupportedInChat } from "./unsupported-parameters.ts";

const chatFormat: AnswerFormat = {
  object: "chat.completion",
  chunkObject: "chat.completion.chunk",
  choice: (index, text, reason) => ({
    index,
    message: { role: "assistant", content: text, refusal: null },
    logprobs: null,
    finish_reason: reason,
  }),
  firstPiece: (index) => piece(index, { role: "assistant", content: "" }, null),
  textPiece: (index, text) => piece(index, { content: text }, null),
  lastPiece: (index, reason) => piece(index, {}, reason),
};

/** POST /v1/chat/completions */
export const chatEndpoint: GenerationEndpoint<ChatBody> = {
  schema: chatSchema,
  unsupported: unsupportedInChat,
  idPrefix: "chatcmpl",
  format: chatFormat,
  readPrompts: (body, codec) => ({
    prompts: [toPrompt(body.messages.map(toChatMessage), codec)],
    promptField: "messages",
    tokenLimit: tokenLimitOf(body),
    defaultMaxTokens: Infinity,
  }),
};

function toPrompt(messages: readonly ChatMessage[], codec: TextCodec): Prompt {
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

function piece(index: number, delta: object, finishReason: string | null): object {
  return { index, delta, logprobs: null, finish_reason: finishReason };
}
