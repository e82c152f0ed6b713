import { z } from "zod";

/** What responses are made of; objects are open. */

export const outputText = z.looseObject({
  type: z.literal("output_text"),
  text: z.string(),
  annotations: z.array(z.unknown()),
  logprobs: z.array(z.unknown()),
});

export const reasoningText = z.looseObject({ type: z.literal("reasoning_text"), text: z.string() });

const itemHead = {
  id: z.string(),
  status: z.enum(["in_progress", "completed", "incomplete"]),
};

const functionCall = z.looseObject({
  ...itemHead,
  type: z.literal("function_call"),
  call_id: z.string(),
  name: z.string(),
  arguments: z.string(),
});

const reasoning = z.looseObject({
  ...itemHead,
  type: z.literal("reasoning"),
  summary: z.array(z.unknown()),
  content: z.array(reasoningText),
});

export const outputItem = z.discriminatedUnion("type", [
  z.looseObject({
    ...itemHead,
    type: z.literal("message"),
    role: z.literal("assistant"),
    content: z.array(outputText),
  }),
  reasoning,
  functionCall,
]);

const inputText = z.looseObject({ type: z.literal("input_text"), text: z.string() });

export const inputItem = z.discriminatedUnion("type", [
  z.looseObject({
    ...itemHead,
    type: z.literal("message"),
    role: z.enum(["user", "system", "developer", "assistant"]),
    content: z.array(z.discriminatedUnion("type", [inputText, outputText])),
  }),
  reasoning,
  functionCall,
  z.looseObject({
    ...itemHead,
    type: z.literal("function_call_output"),
    call_id: z.string(),
    output: z.string(),
  }),
]);
