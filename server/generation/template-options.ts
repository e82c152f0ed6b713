import { z } from "zod";
import type { RenderOptions } from "../../model/text/chat-template.ts";
import { InvalidRequestError } from "../base/errors.ts";

/** As JSON. More than switches and short texts would belong into a message. */
const maxVariablesLength = 4000;

/** What the server says itself. */
const ownVariables = [
  ...["messages", "tools", "add_generation_prompt", "continue_final_message", "chat_template"],
  ...["tokenize", "bos_token", "eos_token"],
];

const variables = z
  .record(z.string(), z.unknown())
  .default({})
  .superRefine((value, context) => {
    if (JSON.stringify(value).length > maxVariablesLength) {
      context.addIssue(`expected at most ${maxVariablesLength} characters of JSON`);
    }
    for (const name of ownVariables.filter((each) => Object.hasOwn(value, each))) {
      context.addIssue({ code: "custom", message: "the server sets it itself", path: [name] });
    }
  });

/** What says how a conversation is shown to the model; vLLM's and llama.cpp's names. */
export const templateFields = {
  /** @default true, but where the last message is continued */
  add_generation_prompt: z.boolean().optional(),
  continue_final_message: z.boolean().default(false),
  chat_template_kwargs: variables,
  /** A variable of the template too: most know none. */
  reasoning_effort: z.string().max(20).optional(),
};

type TemplateBody = z.output<z.ZodObject<typeof templateFields>>;

/** @throws InvalidRequestError where the last message is to be continued and followed by another. */
export function readTemplateOptions(body: TemplateBody): RenderOptions {
  const {
    continue_final_message: continuesFinalMessage,
    add_generation_prompt: addGenerationPrompt = !continuesFinalMessage,
    chat_template_kwargs: kwargs,
    reasoning_effort: effort,
  } = body;
  if (continuesFinalMessage && addGenerationPrompt) {
    const param = "continue_final_message";
    const message = `${param}: expected false, or add_generation_prompt false (got true)`;
    throw new InvalidRequestError(message, param);
  }
  const variables = { ...(effort !== undefined && { reasoning_effort: effort }), ...kwargs };
  return {
    addGenerationPrompt,
    ...(continuesFinalMessage && { continuesFinalMessage }),
    ...(Object.keys(variables).length > 0 && { variables }),
  };
}
