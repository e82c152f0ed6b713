import { UnsupportedParameterError } from "./errors.ts";

type Body = Readonly<Record<string, unknown>>;

/** A parameter that would change the answer, and the values at which it would not. */
interface Unsupported {
  /** What the client may do instead. */
  readonly supported: string;
  readonly isNeutral: (value: unknown, body: Body) => boolean;
}

export type UnsupportedTable = Readonly<Record<string, Unsupported>>;

const omitIt: Unsupported = { supported: "leave it out.", isNeutral: () => false };

const noFunctions: Unsupported = {
  supported: 'use tools, or set function_call to "none".',
  isNeutral: (value, body) => isEmptyList(value) || body["function_call"] === "none",
};

const noForcedCall: Unsupported = {
  supported: 'use tool_choice; only "none" and "auto" are accepted.',
  isNeutral: (value) => value === "none" || value === "auto",
};

function onlyValue(neutral: unknown): Unsupported {
  return {
    supported: `only ${JSON.stringify(neutral)} is accepted.`,
    isNeutral: (value) => value === neutral,
  };
}

/** For both endpoints: extensions of vLLM and llama.cpp that clients of those servers send. */
const common: UnsupportedTable = {
  min_tokens: onlyValue(0),
  stop_token_ids: { supported: "use stop.", isNeutral: isEmptyList },
  use_beam_search: onlyValue(false),
  prompt_logprobs: {
    supported: "use echo with logprobs of /v1/completions.",
    isNeutral: () => false,
  },
};

const ownTemplate = "the model's own chat template is used as it is.";

/** What would change how a conversation is shown to the model. */
export const unsupportedInTemplates: UnsupportedTable = {
  chat_template: { supported: ownTemplate, isNeutral: () => false },
  chat_template_kwargs: { supported: ownTemplate, isNeutral: isEmptyObject },
  continue_final_message: onlyValue(false),
};

export const unsupportedInChat: UnsupportedTable = {
  ...common,
  ...unsupportedInTemplates,
  add_generation_prompt: onlyValue(true),
  functions: noFunctions,
  function_call: noForcedCall,
  audio: omitIt,
  web_search_options: omitIt,
  modalities: {
    supported: 'only ["text"] is accepted.',
    isNeutral: (value) => Array.isArray(value) && value.length === 1 && value[0] === "text",
  },
};

export const unsupportedInCompletions: UnsupportedTable = {
  ...common,
  suffix: onlyValue(""),
  best_of: {
    supported: "it must equal n.",
    isNeutral: (value, body) => value === (body["n"] ?? 1),
  },
};

/**
 * @param body - without null fields
 * @throws UnsupportedParameterError when ignoring a field would change the answer.
 */
export function refuseUnsupported(body: Body, table: UnsupportedTable): void {
  for (const [name, { supported, isNeutral }] of Object.entries(table)) {
    const value = body[name];
    if (value !== undefined && !isNeutral(value, body)) {
      throw new UnsupportedParameterError(name, supported);
    }
  }
}

function isEmptyObject(value: unknown): boolean {
  return typeof value === "object" && value !== null && Object.keys(value).length === 0;
}

function isEmptyList(value: unknown): boolean {
  return Array.isArray(value) && value.length === 0;
}
