import type { RenderOptions } from "../../model/text/chat-template.ts";
import { toChatMessage } from "../generation/chat.ts";
import type { ChatMessage, TextCodec } from "../text/codec.ts";
import { readTemplateOptions } from "../generation/template-options.ts";
import { withToolPrompt } from "../tools/tool-prompt.ts";
import { readTools } from "../tools/tool-schemas.ts";
import type { ApplyTemplateBody } from "./tokenize-schemas.ts";

/**
 * A conversation as the chat endpoint shows it to the model.
 * @throws ChatTemplateError, InvalidRequestError
 */
export async function showChat<T>(
  body: ApplyTemplateBody,
  codec: TextCodec,
  render: (messages: readonly ChatMessage[], options: Partial<RenderOptions>) => Promise<T>,
): Promise<T> {
  const rendering = readTemplateOptions(body);
  const tools = readTools(body)?.list ?? [];
  return withToolPrompt(
    body.messages.map(toChatMessage),
    tools,
    codec,
    ({ messages, ...options }) => render(messages, { ...rendering, ...options }),
  );
}
