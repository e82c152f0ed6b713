import { z } from "zod";
import type { RouteReading } from "../../engine/contract/request.ts";
import type { RouterMap } from "../../router/router-map.ts";
import { toChatMessage, toPrompt } from "../generation/chat.ts";
import type { EncodeChatOptions, Prompt, TextCodec } from "../text/codec.ts";
import { ContextLengthError, withinContext } from "../base/errors.ts";
import { checkPrompt } from "../generation/generation.ts";
import type { JsonEndpoint } from "../generation/json-endpoint.ts";
import { countedTokens } from "../base/request-limits.ts";
import { chatSchema } from "../generation/request-schemas.ts";
import { noTask } from "../config/rules.ts";
import { readingRequest, readPrompts } from "./read-prompts.ts";
import type { WireRouteReading } from "../wire/route-reading.ts";

const { model, messages } = chatSchema.shape;

export const routeSchema = z
  .object({ model, prompt: z.string().optional(), messages: messages.optional() })
  .refine((body) => (body.prompt === undefined) !== (body.messages === undefined), {
    path: ["prompt"],
    message: "expected either prompt or messages",
  });

export type RouteBody = z.output<typeof routeSchema>;

/**
 * POST /v1/route: which task a prompt would be taken for, and what the router thinks of it. Headers and names that
 * choose a task do so here too. Nothing is generated, counted or remembered.
 */
export const routeEndpoint: JsonEndpoint<RouteBody> = {
  schema: routeSchema,
  known: {},
  async answer({ req, body, loaded, model, context, id, begin }) {
    const { engine, codec, tasks } = loaded;
    const field = body.messages === undefined ? "prompt" : "messages";
    const { vocabSize, contextLength } = engine.limits;
    const wanted = { maxTokens: countedTokens(contextLength), wantsSpans: tasks.length > 0 };
    const prompt = await withinContext(field, contextLength, () => promptOf(body, codec, wanted));
    const { tokenIds } = prompt;
    checkPrompt(tokenIds, field, vocabSize);
    if (tokenIds.length > contextLength) {
      throw new ContextLengthError(field, { promptTokens: tokenIds.length, contextLength });
    }
    const header = (name: string) => req.get(name);
    const request = { tasks, modelTask: model.task, header };
    const routing = context.routing.routingFor(prompt, request);
    const requests = [readingRequest(id, tokenIds, "route", routing)];
    const [reading] = await readPrompts(engine, requests, begin());
    return toWire(reading!, model.id, tokenIds.length, loaded.routerMap());
  },
};

async function promptOf(
  { prompt, messages }: RouteBody,
  codec: TextCodec,
  wanted: Required<EncodeChatOptions>,
): Promise<Prompt> {
  if (messages !== undefined) return toPrompt(messages.map(toChatMessage), codec, wanted);
  const text = prompt ?? "";
  const [tokenIds] = await codec.encodeTexts([text], { maxTokens: wanted.maxTokens });
  return { tokenIds: tokenIds!, text, messages: null, spans: null };
}

function toWire(
  { route, decision, seconds }: RouteReading,
  model: string,
  promptTokens: number,
  map: RouterMap | null,
): WireRouteReading {
  return {
    object: "route",
    model,
    task: route.task ?? noTask,
    confidence: route.confidence,
    reason: route.reason,
    router: decision && {
      task: decision.task ?? noTask,
      confidence: decision.confidence,
      reason: decision.reason,
      // Infinite where there is no second task.
      margin: Number.isFinite(decision.margin) ? decision.margin : null,
      strangeness: decision.strangeness,
      threshold: decision.threshold,
      scores: decision.scores,
      nearest: decision.nearest.map((each) => ({ ...each, task: each.task ?? noTask })),
      position: (decision.place && map?.position(decision.place)) ?? null,
    },
    routing_seconds: seconds,
    usage: { prompt_tokens: promptTokens },
  };
}
