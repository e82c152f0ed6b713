import type { RenderOptions } from "../../model/text/chat-template.ts";
import { ChatWriter } from "./chat-writer.ts";
import type { ChatMessage, EncodeChatOptions, Prompt, TextCodec } from "../text/codec.ts";
import { InvalidRequestError, withinContext } from "../base/errors.ts";
import { checkAnswers } from "./generation.ts";
import type { GenerationEndpoint, ReadContext, ReadRequest } from "./generation-endpoint.ts";
import { findNamed } from "../parameters/aliases.ts";
import { type ChatBody, chatSchema } from "./request-schemas.ts";
import type { GrammarSource } from "../structured/compile-grammar.ts";
import { structuredSource } from "../structured/structured-output.ts";
import { readTemplateOptions } from "./template-options.ts";
import { readReasoning } from "./reasoning.ts";
import { foreignNames } from "../tools/foreign-tools.ts";
import type { ToolCallFormatName } from "../tools/tool-call-format.ts";
import { toolCallFormatOf } from "../tools/tool-call-formats.ts";
import { withToolPrompt } from "../tools/tool-prompt.ts";
import { readTools } from "../tools/tool-schemas.ts";
import type { Tool, Tools } from "../tools/tool-schemas.ts";
import { knownInChat } from "../parameters/known-parameters.ts";

/** POST /v1/chat/completions */
export const chatEndpoint: GenerationEndpoint<ChatBody> = {
  schema: chatSchema,
  known: knownInChat,
  idPrefix: "chatcmpl",
  format: { object: "chat.completion", chunkObject: "chat.completion.chunk" },
  read: (body, context) => readChat(body, context, "messages"),
};

/**
 * @param field - that the conversation came in
 * @throws RequestError, OverloadedError
 */
export async function readChat(
  body: ChatBody,
  { codec, grammars, maxTokens, limits, isRouted }: ReadContext,
  field: string,
): Promise<ReadRequest> {
  checkAnswers(1, body.n, limits, field);
  const { logprobs, top_logprobs: numTop } = body;
  if (numTop > 0 && !logprobs) {
    const message = `top_logprobs: expected 0 without logprobs (got ${numTop})`;
    throw new InvalidRequestError(message, "top_logprobs");
  }
  const tools = readTools(body);
  const format = toolCallFormatOf(codec.tokenizerInfo.chatTemplate);
  const source = sourceOf(body, tools, format.name);
  const parsed = tools && {
    names: tools.list.map((tool) => tool.function.name),
    isFormed: source?.kind === "tools" && source.form !== undefined,
    isForced: tools.isRequired,
    isParallel: tools.isParallel,
  };
  const messages = body.messages.map(toChatMessage);
  const options = readTemplateOptions(body);
  const prompt = await withinContext(field, limits.contextLength, () =>
    toPrompt(messages, codec, { tools: tools?.list, options, maxTokens, wantsSpans: isRouted }),
  );
  const reasoning = readReasoning(body, codec, prompt, source !== undefined && !isFreeText(source));
  const thought = reasoning && { isOpen: reasoning.isOpen };
  const governing = source?.kind === "tools" ? { ...source, reasoning: thought } : source;
  return {
    prompts: [prompt],
    promptField: field,
    tokenLimit: tokenLimitOf(body),
    defaultMaxTokens: Infinity,
    logprobs: logprobs ? { numTop } : undefined,
    ...(governing && (await grammars.compile(governing))),
    ignoredTools: foreignNames(body.tools),
    writerFor: (index) =>
      new ChatWriter(index, {
        codec: logprobs ? codec : null,
        parser: parsed && format.parser(parsed),
        reasoning,
      }),
  };
}

export interface PromptOptions extends Required<EncodeChatOptions> {
  /** That the model is told of. */
  readonly tools?: readonly Tool[] | undefined;
  readonly options?: Partial<RenderOptions>;
}

/** @throws TooManyTokensError, ChatTemplateError, and what the background throws */
export async function toPrompt(
  conversation: readonly ChatMessage[],
  codec: TextCodec,
  { tools = [], options = {}, maxTokens, wantsSpans }: PromptOptions,
): Promise<Prompt> {
  const text = conversation.findLast(({ role }) => role === "user")?.content ?? "";
  return withToolPrompt(conversation, tools, codec, async ({ messages, ...shown }) => {
    const rendering = { ...options, ...shown };
    const encoded = await codec.encodeChat(messages, rendering, { maxTokens, wantsSpans });
    return { ...encoded, text, messages };
  });
}

function sourceOf(
  body: ChatBody,
  tools: Tools | null,
  format: ToolCallFormatName,
): GrammarSource | undefined {
  const form = structuredSource(body);
  if (tools === null) return form;
  const calls = { field: "tools", kind: "tools", tools, all: body.tools, format } as const;
  // Where a tool must be called there is no text.
  return form === undefined || tools.isRequired ? calls : { ...calls, form };
}

/** Calls may come in any text. */
function isFreeText(source: GrammarSource): boolean {
  return source.kind === "tools" && !source.tools.isRequired && source.form === undefined;
}

/** `max_tokens` is the older name of the same limit: the newer one wins. */
function tokenLimitOf(body: ChatBody): { value: number; field: string } | undefined {
  const { max_completion_tokens: value } = body;
  return value === undefined
    ? findNamed(body, "max_tokens")
    : { value, field: "max_completion_tokens" };
}

/** A developer message is a system message to models that know no such role. */
export function toChatMessage(message: ChatBody["messages"][number]): ChatMessage {
  const { role, content, name } = message;
  return {
    role: role === "developer" ? "system" : role,
    content,
    ...(name != null && { name }),
    ...(role === "assistant" &&
      message.reasoning_content != null && { reasoning_content: message.reasoning_content }),
    ...(role === "assistant" && message.tool_calls != null && { tool_calls: message.tool_calls }),
    ...(role === "tool" && message.tool_call_id != null && { tool_call_id: message.tool_call_id }),
  };
}
