import { Template } from "@huggingface/jinja";
import { ChatTemplateError } from "../errors.ts";
import { fallbackTemplates } from "./fallback-templates.ts";
import { SpecialTextGuard } from "./special-text-guard.ts";
import { strftime } from "./strftime.ts";
import type { EncodeOptions, Tokenizer } from "./tokenizer.ts";
import type { TokenizerSource } from "./tokenizer-source.ts";

/** A turn of a conversation in the spelling that templates expect. */
export interface TemplateMessage {
  readonly role: string;
  readonly content: string;
  readonly name?: string;
  readonly reasoning_content?: string;
  readonly tool_calls?: unknown;
  readonly tool_call_id?: string;
}

export interface RenderOptions {
  /** End with what introduces the assistant's turn. */
  readonly addGenerationPrompt: boolean;
  /** End with the last message, as if its author had more to say. @default false */
  readonly continuesFinalMessage?: boolean;
  /** Tool definitions for templates that show them to the model. */
  readonly tools?: readonly unknown[];
  /** Variables of this template's own. */
  readonly variables?: Readonly<Record<string, unknown>>;
}

/** Conversations as the model was trained to read them. */
export interface ChatTemplate {
  /** As the model brings it along: Jinja. */
  readonly text: string;
  /** @throws ChatTemplateError when the template refuses the conversation. */
  render(messages: readonly TemplateMessage[], options: RenderOptions): string;
  /**
   * The rendered conversation as token ids. Control tokens come from the template alone: in what the
   * messages say their text stays text.
   * @throws ChatTemplateError when the template refuses the conversation.
   * @throws TooManyTokensError
   */
  encode(
    messages: readonly TemplateMessage[],
    options: RenderOptions,
    cost?: Pick<EncodeOptions, "maxTokens" | "known">,
  ): Uint32Array;
}

/**
 * The library's own `strftime_now` speaks the machine's language and cannot be replaced, so templates
 * are made to call another function.
 */
const strftimeName = "english_strftime_now";

/**
 * The template that the model brings along, or one of `fallbackTemplates` where it brings none but knows the tokens.
 * @param now the time that templates may show
 * @throws ChatTemplateError when there is neither, or the template cannot be parsed.
 */
export function createChatTemplate(
  source: TokenizerSource,
  tokenizer: Tokenizer,
  now: () => Date = () => new Date(),
): ChatTemplate {
  return new JinjaChatTemplate(templateText(source) ?? fallbackTemplate(tokenizer), tokenizer, now);
}

function parseTemplate(text: string): Template {
  try {
    return new Template(text.replaceAll("strftime_now", strftimeName));
  } catch (cause) {
    throw new ChatTemplateError(`The chat template cannot be parsed: ${reason(cause)}`, { cause });
  }
}

function templateText(source: TokenizerSource): string | null {
  if (source.kind === "huggingface") return source.chatTemplate;
  const text = source.metadata["tokenizer.chat_template"];
  return typeof text === "string" ? text : null;
}

function fallbackTemplate(tokenizer: Tokenizer): string {
  const found = fallbackTemplates.find(({ tokens }) =>
    tokens.every((content) => tokenizer.tokenId(content) !== undefined),
  );
  if (found) return found.text;
  const known = fallbackTemplates.map(({ name, tokens }) => `${tokens.join(" and ")} for ${name}`);
  throw new ChatTemplateError(
    `The model has no chat template, and its vocabulary has neither ${known.join(" nor ")}.`,
  );
}

class JinjaChatTemplate implements ChatTemplate {
  readonly text: string;
  readonly #template: Template;
  readonly #tokenizer: Tokenizer;
  readonly #guard: SpecialTextGuard;
  readonly #globals: Readonly<Record<string, unknown>>;

  constructor(text: string, tokenizer: Tokenizer, now: () => Date) {
    this.text = text;
    this.#template = parseTemplate(text);
    this.#tokenizer = tokenizer;
    this.#guard = new SpecialTextGuard(tokenizer.controlTokens.map((token) => token.content));
    const content = (id: number | null): string => (id === null ? "" : tokenizer.tokenContent(id));
    this.#globals = {
      bos_token: content(tokenizer.bosTokenId),
      eos_token: content(tokenizer.eosTokenId),
      [strftimeName]: (format: string) => strftime(now(), format),
    };
  }

  render(messages: readonly TemplateMessage[], options: RenderOptions): string {
    return this.#guard.unprotect(this.#renderProtected(messages, options));
  }

  encode(
    messages: readonly TemplateMessage[],
    options: RenderOptions,
    cost: Pick<EncodeOptions, "maxTokens" | "known"> = {},
  ): Uint32Array {
    const { bosTokenId, addBos } = this.#tokenizer;
    const ids = this.#tokenizer.encode(this.#renderProtected(messages, options), {
      parseSpecial: true,
      addBos: false,
      restoreText: (text) => this.#guard.unprotect(text),
      ...cost,
    });
    if (ids.length === 0) throw new ChatTemplateError("The chat template produced no text.");
    // Most templates write the beginning-of-sequence token themselves.
    if (!addBos || bosTokenId === null || ids[0] === bosTokenId) return ids;
    const withBos = new Uint32Array(ids.length + 1);
    withBos[0] = bosTokenId;
    withBos.set(ids, 1);
    return withBos;
  }

  #renderProtected(messages: readonly TemplateMessage[], options: RenderOptions): string {
    try {
      return this.#run(messages, options);
    } catch (cause) {
      const error = new ChatTemplateError(
        `The chat template refused the conversation: ${reason(cause)}`,
        { cause },
      );
      const folded = foldSystemMessages(messages);
      if (folded === null) throw error;
      try {
        return this.#run(folded, options);
      } catch {
        // What the template says of the conversation as it was sent helps more.
        throw error;
      }
    }
  }

  #run(messages: readonly TemplateMessage[], options: RenderOptions): string {
    const shown = this.#guard.protect(messages) as readonly TemplateMessage[];
    const text = this.#template.render({
      ...(this.#guard.protect(options.variables ?? {}) as object),
      ...this.#globals,
      messages: shown,
      add_generation_prompt: options.addGenerationPrompt,
      // Templates written for transformers expect null, not an undefined variable.
      tools: options.tools === undefined ? null : this.#guard.protect(options.tools),
    });
    return options.continuesFinalMessage === true
      ? upToEndOf(shown.at(-1)?.content ?? "", text)
      : text;
  }
}

/** The text up to the end of the last message's content, which templates may trim. */
function upToEndOf(content: string, text: string): string {
  for (const shown of [content, content.trimEnd(), content.trim()]) {
    const start = text.lastIndexOf(shown);
    if (shown !== "" && start >= 0) return text.slice(0, start + shown.length);
  }
  throw new Error("the last message cannot be continued, since its text is not shown");
}

/** System messages at the head of the first user message, for templates without a system role; else null. */
function foldSystemMessages(messages: readonly TemplateMessage[]): TemplateMessage[] | null {
  const system = messages.filter((message) => message.role === "system");
  const rest = messages.filter((message) => message.role !== "system");
  const first = rest.findIndex((message) => message.role === "user");
  if (system.length === 0 || first < 0) return null;
  const content = [...system, rest[first]!].map((message) => message.content).join("\n\n");
  return rest.with(first, { ...rest[first]!, content });
}

function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
