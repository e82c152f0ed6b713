import type { Route, RoutingRequest } from "../../engine/contract/routing.ts";
import { wholePrompt } from "../../router/prompt-spans.ts";
import type { Prompt } from "../text/codec.ts";
import { InvalidRequestError, quote } from "../base/errors.ts";
import { whileBuilding } from "../config/expert-settings.ts";
import { ConversationTasks } from "./conversation-tasks.ts";
import { findRule, noTask } from "../config/rules.ts";
import type { RoutingRule } from "../config/rules.ts";

/** Header that names a task, in requests and in answers. */
export const taskHeader = "x-seap-task";

/** Request header that says what happens while the task's expert is not there. */
const whileBuildingHeader = "x-seap-while-building";

export interface RequestRoutingOptions {
  readonly rules: readonly RoutingRule[];
  /** Log-odds with which another task takes over a conversation; 0 lets every prompt stand for itself. */
  readonly stickyMargin: number;
  /** Milliseconds on a steady clock. */
  readonly nowMs: () => number;
}

/** What a request says besides its prompt. */
export interface RequestTask {
  /** Tasks that there are. */
  readonly tasks: readonly string[];
  /** Null for none; undefined where the model's name has no task. */
  readonly modelTask: string | null | undefined;
  /** Value of a request header. */
  readonly header: (name: string) => string | undefined;
}

/** Says what is known of a prompt's task before the engine has seen it, and remembers conversations' tasks. */
export class RequestRouting {
  readonly #rules: readonly RoutingRule[];
  readonly #stickyMargin: number;
  readonly #conversations: ConversationTasks;

  constructor({ rules, stickyMargin, nowMs }: RequestRoutingOptions) {
    this.#rules = rules;
    this.#stickyMargin = stickyMargin;
    this.#conversations = new ConversationTasks(nowMs);
  }

  /**
   * The model's name wins over the header, that over the rules, those over the conversation, that over the router.
   * @throws InvalidRequestError when a header has no value that it may have.
   */
  routingFor(prompt: Prompt, request: RequestTask): RoutingRequest {
    const choice = whileBuildingOf(request);
    const routing = this.#routingFor(prompt, request);
    return choice === undefined ? routing : { ...routing, whileBuilding: choice };
  }

  #routingFor(prompt: Prompt, request: RequestTask): RoutingRequest {
    const whole = wholePrompt(prompt.tokenIds.length);
    const assigned = this.#assigned(prompt, request);
    if (assigned !== undefined) return { spans: whole, assigned };
    const { messages, spans } = prompt;
    // Nothing will look at it where there is nothing to choose from.
    if (messages === null || spans === null) return { spans: whole };
    const margin = this.#stickyMargin;
    const task = margin > 0 ? this.#conversations.find(messages) : undefined;
    return task === undefined ? { spans } : { spans, sticky: { task, margin } };
  }

  /** The next request of the conversation will find the route. */
  remember({ messages }: Prompt, { task, reason }: Route): void {
    if (messages === null || reason === "no-router" || this.#stickyMargin === 0) return;
    this.#conversations.remember(messages, task);
  }

  #assigned(prompt: Prompt, request: RequestTask): RoutingRequest["assigned"] {
    const { tasks, modelTask, header } = request;
    if (modelTask !== undefined) return { task: modelTask, reason: "override" };
    const named = header(taskHeader);
    if (named !== undefined) {
      const task = findTask(tasks, named);
      if (task !== undefined) return { task, reason: "override" };
      const known = [...tasks, noTask].join(", ");
      throw new InvalidRequestError(
        `Header ${taskHeader}: expected one of ${known}, got ${quote(named)}.`,
        taskHeader,
      );
    }
    const { text, tokenIds } = prompt;
    const rule = findRule(this.#rules, { header, text, numPromptTokens: tokenIds.length });
    return rule && { task: rule.task === noTask ? null : rule.task, reason: "rule" };
  }
}

function whileBuildingOf({ header }: RequestTask): RoutingRequest["whileBuilding"] {
  const value = header(whileBuildingHeader);
  if (value === undefined) return undefined;
  const { success, data } = whileBuilding().safeParse(value);
  if (success) return data;
  throw new InvalidRequestError(
    `Header ${whileBuildingHeader}: expected general or wait, got ${quote(value)}.`,
    whileBuildingHeader,
  );
}

/** Null for none of them, where that is what was asked for; undefined for a task that there is not. */
export function findTask(tasks: readonly string[], name: string): string | null | undefined {
  return name === noTask ? null : tasks.find((task) => task === name);
}
