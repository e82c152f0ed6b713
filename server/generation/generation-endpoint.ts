import { randomUUID } from "node:crypto";
import type { RequestHandler } from "express";
import type { z } from "zod";
import type { EngineLimits } from "../../engine/contract/request.ts";
import { sendAnswer, streamAnswer } from "./answer.ts";
import type { Answer, AnswerFormat, ChoiceWriter, StreamOptions } from "./answer.ts";
import { openChoices } from "./choices.ts";
import type { Prompt, TextCodec } from "../text/codec.ts";
import { type GenerationOptions, toGenerateRequests } from "./generation.ts";
import type { InFlight } from "../http/in-flight.ts";
import type { Log } from "../base/log.ts";
import type { Metrics } from "../metrics/metrics.ts";
import { withDefaults } from "../model/generation-defaults.ts";
import { type ModelService, resolveModel } from "../model/model-service.ts";
import { type ParameterTable, refuseUnsupported } from "../parameters/parameter-table.ts";
import type { UnknownFields } from "../parameters/unknown-fields.ts";
import { validate, withoutNulls } from "../http/parse-body.ts";
import { recordOf, type RequestRecord } from "../http/request-record.ts";
import { countedTokens } from "../base/request-limits.ts";
import type { GenerationBody } from "./request-schemas.ts";
import type { RequestRouting } from "../routing/request-routing.ts";
import type { GrammarCompiler } from "../structured/grammar-compiler.ts";
import { setUnenforcedHeader, type UnenforcedParts } from "../structured/unenforced.ts";
import { httpStreamStart } from "./stream-start.ts";
import { ignoredToolsHeader } from "../tools/foreign-tools.ts";
import { truncatePrompt } from "./truncate-prompt.ts";
import type { Tracer } from "../tracing/tracer.ts";

export interface GenerationContext {
  readonly service: ModelService;
  readonly inFlight: InFlight;
  readonly metrics: Metrics;
  readonly log: Log;
  readonly tracer: Tracer;
  readonly unknownFields: UnknownFields;
  readonly routing: RequestRouting;
  readonly grammars: Pick<GrammarCompiler, "compile">;
  readonly unenforcedParts: UnenforcedParts;
  readonly keepAliveMs: number;
  /** Unsigned 32-bit. */
  readonly randomSeed: () => number;
}

/** What tells the chat endpoint from the completions endpoint. */
export interface GenerationEndpoint<Body extends GenerationBody> {
  readonly schema: z.ZodObject & z.ZodType<Body>;
  readonly known: ParameterTable;
  readonly idPrefix: string;
  readonly format: AnswerFormat;
  /** @throws RequestError when fields do not go together, and OverloadedError. */
  read(body: Body, context: ReadContext): Promise<ReadRequest>;
}

export interface ReadContext extends Pick<GenerationContext, "grammars"> {
  readonly codec: TextCodec;
  readonly limits: EngineLimits;
  /** To which a prompt is counted. */
  readonly maxTokens: number;
  /** A router may choose the task. */
  readonly isRouted: boolean;
}

/** What an endpoint makes of a body. */
export interface ReadRequest extends Omit<
  GenerationOptions,
  "body" | "id" | "limits" | "codec" | "randomSeed" | "routingFor"
> {
  /** Kinds of tools that are left out. @default none */
  readonly ignoredTools?: readonly string[];
  /** Places of what the grammar does not enforce. */
  readonly unenforced?: readonly string[];
  /** Spells one of the choices of a prompt. */
  writerFor(index: number, prompt: Prompt): ChoiceWriter;
}

/** A request for an answer, whatever it came by. */
export interface GenerationCall {
  /** Parsed JSON. */
  readonly body: unknown;
  /** Value of a request header. */
  readonly header: (name: string) => string | undefined;
  /** Called once, when the request is valid; what aborts the controller cancels the answer. */
  readonly begin: (id: string) => AbortController;
  /** Sets a header of the answer, which a WebSocket has none of. */
  readonly setHeader?: (name: string, value: string) => void;
  readonly record: RequestRecord;
}

/** An answer that the engine has accepted. */
export interface BegunAnswer {
  readonly answer: Answer;
  readonly body: GenerationBody;
}

export function generationHandler<Body extends GenerationBody>(
  endpoint: GenerationEndpoint<Body>,
  context: GenerationContext,
): RequestHandler {
  const { inFlight, metrics, keepAliveMs } = context;
  const begin = answerBeginner(endpoint, context);
  return async (req, res) => {
    const record = recordOf(res);
    const { log } = record;
    const { answer, body } = await begin({
      body: req.body,
      header: (name) => req.get(name),
      begin: (id) => inFlight.begin(res, id),
      setHeader: (name, value) => res.set(name, value),
      record,
    });
    setUnenforcedHeader(res, answer.unenforced);
    if (!body.stream) return sendAnswer(res, answer);
    const start = httpStreamStart(res, keepAliveMs, answer.controller.signal);
    return streamAnswer(start, answer, { ...usageOptions(body), log, metrics });
  };
}

/** How much a client wants to know of what its stream uses. */
export function usageOptions({
  stream_options: options,
}: GenerationBody): Pick<StreamOptions, "includeUsage" | "continuousUsage"> {
  return {
    includeUsage: options?.include_usage ?? false,
    continuousUsage: options?.continuous_usage_stats ?? false,
  };
}

/**
 * Checks a request and hands it to the engine.
 * @throws RequestError, OverloadedError and what else the client must be told.
 */
export function answerBeginner<Body extends GenerationBody>(
  endpoint: GenerationEndpoint<Body>,
  context: GenerationContext,
): (call: GenerationCall) => Promise<BegunAnswer> {
  const { service, metrics, unknownFields, unenforcedParts, routing, grammars, randomSeed } =
    context;
  const isKnown = (field: string) =>
    Object.hasOwn(endpoint.schema.shape, field) || Object.hasOwn(endpoint.known, field);

  return async ({ body: rawBody, header, begin, setHeader, record }) => {
    const startedMs = performance.now();
    const loaded = service.ready();
    const { engine, codec, tasks } = loaded;
    const given = withoutNulls(rawBody);
    unknownFields.note(given, isKnown, record.log);
    const fields = withDefaults(given, loaded.generationDefaults);
    const body = validate(endpoint.schema, fields);
    refuseUnsupported(fields, endpoint.known);
    const model = resolveModel(loaded, body.model);

    const id = `${endpoint.idPrefix}-${randomUUID()}`;
    const { limits } = engine;
    const { truncate_prompt_tokens: numKept } = body;
    // What is cut may be as long as it likes.
    const maxTokens = numKept === undefined ? countedTokens(limits.contextLength) : Infinity;
    const isRouted = tasks.length > 0 && model.task === undefined;
    const read = await endpoint.read(body, { codec, grammars, limits, maxTokens, isRouted });
    const { ignoredTools = [] } = read;
    if (ignoredTools.length > 0) {
      unknownFields.noteTools(ignoredTools, record.log);
      setHeader?.(ignoredToolsHeader, ignoredTools.join(","));
    }
    const prompts = read.prompts.map((prompt) =>
      truncatePrompt(prompt, numKept, read.tokenLimit, limits, codec),
    );
    const requests = await toGenerateRequests({
      ...read,
      prompts,
      body,
      id,
      limits,
      codec,
      randomSeed,
      routingFor: (prompt) => routing.routingFor(prompt, { tasks, modelTask: model.task, header }),
    });

    const controller = begin(id);
    // The engine has accepted or refused everything before the status line is sent.
    const choices = await openChoices(requests, { engine, controller, metrics, startedMs, record });
    const answer: Answer = {
      head: { id, created: Math.floor(Date.now() / 1000), model: model.id },
      format: endpoint.format,
      choices,
      writers: choices.map((_, index) =>
        read.writerFor(index, prompts[Math.floor(index / body.n)]!),
      ),
      choicesPerPrompt: body.n,
      controller,
      onRoute: (route) => routing.remember(prompts[0]!, route),
      unenforced: read.unenforced ?? [],
    };
    unenforcedParts.note(answer.unenforced, record.log);
    return { answer, body };
  };
}
