import type { FinishEvent, RoutedEvent } from "../../engine/contract/request.ts";
import { noLimit } from "../generation/sampling-fields.ts";
import { toWireRoute } from "../routing/route-wire.ts";
import type { OutputItem } from "./items.ts";
import type { ResponsesBody } from "./request-schema.ts";

/** What a response keeps from its beginning to its end. */
export interface ResponseHead {
  readonly id: string;
  /** Unix seconds. */
  readonly createdAt: number;
  readonly model: string;
  readonly body: ResponsesBody;
}

/** How a response ended. */
export interface ResponseEnd {
  readonly finish: FinishEvent;
  readonly route: RoutedEvent;
  readonly reasoningTokens: number;
  /** Unix seconds. */
  readonly completedAt: number;
}

/** @param end null while it is made */
export function toWireResponse(
  { id, createdAt, model, body }: ResponseHead,
  output: readonly OutputItem[],
  end: ResponseEnd | null,
): object {
  const isCut = end?.finish.reason === "length";
  const finished = isCut ? "incomplete" : "completed";
  return {
    id,
    object: "response",
    created_at: createdAt,
    completed_at: end?.completedAt ?? null,
    status: end === null ? "in_progress" : finished,
    error: null,
    incomplete_details: isCut ? { reason: "max_output_tokens" } : null,
    instructions: body.instructions ?? null,
    max_output_tokens: body.max_output_tokens === noLimit ? null : (body.max_output_tokens ?? null),
    metadata: body.metadata,
    model,
    output,
    parallel_tool_calls: body.parallel_tool_calls,
    previous_response_id: body.previous_response_id ?? null,
    background: false,
    reasoning: { effort: body.reasoning.effort ?? null, summary: body.reasoning.summary ?? null },
    store: body.store,
    temperature: body.temperature,
    text: {
      format: body.text?.format ?? { type: "text" },
      verbosity: body.text?.verbosity ?? "medium",
    },
    tool_choice: body.tool_choice,
    tools: body.tools.filter(({ type }) => type === "function"),
    top_logprobs: body.top_logprobs,
    top_p: body.top_p,
    truncation: body.truncation,
    usage: end && toWireUsage(end),
    user: body.user ?? null,
    ...(end && { seap: toWireRoute(end.route) }),
  };
}

function toWireUsage({ finish, reasoningTokens }: ResponseEnd): object {
  const { promptTokens, cachedTokens, completionTokens } = finish;
  return {
    input_tokens: promptTokens,
    input_tokens_details: { cached_tokens: cachedTokens },
    output_tokens: completionTokens,
    output_tokens_details: { reasoning_tokens: reasoningTokens },
    total_tokens: promptTokens + completionTokens,
  };
}
