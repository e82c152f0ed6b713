import { randomUUID } from "node:crypto";
import type { RequestHandler, Response } from "express";
import type { RoutedEvent, TextEvent } from "../../engine/contract/request.ts";
import type { Answer } from "../generation/answer.ts";
import { chatEndpoint, readChat } from "../generation/chat.ts";
import { drainChoice } from "../generation/choices.ts";
import { InvalidRequestError, UnsupportedParameterError } from "../base/errors.ts";
import { reportError } from "../http/error-response.ts";
import { answerBeginner, type GenerationContext } from "../generation/generation-endpoint.ts";
import type { GenerationEndpoint } from "../generation/generation-endpoint.ts";
import { setUnenforcedHeader } from "../structured/unenforced.ts";
import { validate, withoutNulls } from "../http/parse-body.ts";
import { withDefaults } from "../model/generation-defaults.ts";
import type { PieceStream } from "../http/piece-stream.ts";
import type { ChatBody } from "../generation/request-schemas.ts";
import { recordOf } from "../http/request-record.ts";
import { setRouteHeaders } from "../routing/route-wire.ts";
import type { ClientId } from "../security/api-keys.ts";
import { SseStream } from "../http/sse.ts";
import { StreamStart } from "../generation/stream-start.ts";
import { knownInResponses } from "../parameters/known-parameters.ts";
import { refuseUnsupported } from "../parameters/parameter-table.ts";
import { samplingOf, toChatBody, toMessages } from "./conversation.ts";
import { type ConversationItem, toItems } from "./items.ts";
import { inputItemsQuery, toItemPage } from "./item-page.ts";
import { responsesSchema } from "./request-schema.ts";
import { responseSpelling } from "./response-events.ts";
import { type ResponseEnd, type ResponseHead, toWireResponse } from "./response-object.ts";
import { type ChatPiece, type ResponseEvent, ResponseOutput } from "./response-output.ts";
import type { ResponseStore } from "./response-store.ts";

/** A chat in the words of the Responses API. */
const endpoint: GenerationEndpoint<ChatBody> = {
  ...chatEndpoint,
  idPrefix: "resp",
  async read(body, context) {
    const read = await readChat(body, context, "input");
    const { tokenLimit } = read;
    return {
      ...read,
      tokenLimit: tokenLimit && { ...tokenLimit, field: ownName(tokenLimit.field) },
    };
  },
};

function ownName(field: string): string {
  return field === "max_completion_tokens" ? "max_output_tokens" : field;
}

const isKnown = (field: string) =>
  Object.hasOwn(responsesSchema.shape, field) || Object.hasOwn(knownInResponses, field);

/** What is made of one request. */
interface Work {
  readonly head: ResponseHead;
  readonly owner: string;
  readonly answer: Answer;
  /** The conversation that is answered, its instructions left out. */
  readonly input: readonly ConversationItem[];
}

/** POST /v1/responses */
export function createResponse(context: GenerationContext, store: ResponseStore): RequestHandler {
  const { inFlight, service, unknownFields } = context;
  const begin = answerBeginner(endpoint, context);
  return async (req, res) => {
    const given = withoutNulls(req.body);
    const record = recordOf(res);
    unknownFields.note(given, isKnown, record.log);
    const fields = withDefaults(given, service.ready().generationDefaults);
    const body = validate(responsesSchema, fields);
    refuseUnsupported(fields, knownInResponses);
    const { previous_response_id: previous } = body;
    const owner = ownerOf(res);
    const before =
      previous === undefined ? null : store.get(previous, owner, "previous_response_id");
    const added = toItems(body.input, (id, param) => store.getItem(id, owner, param));
    const input = [...(before?.input ?? []), ...(before?.output ?? []), ...added];
    const { answer } = await inOwnWords(
      begin({
        body: { ...samplingOf(fields), ...toChatBody(body, toMessages(input)) },
        header: (name) => req.get(name),
        begin: (id) => inFlight.begin(res, id),
        setHeader: (name, value) => res.set(name, value),
        record,
      }),
    );
    setUnenforcedHeader(res, answer.unenforced.map(inOwnPath));
    const { created: createdAt, model } = answer.head;
    const id = `resp_${randomUUID().replaceAll("-", "")}`;
    const work: Work = { head: { id, createdAt, model, body }, owner, answer, input };
    await (body.stream ? stream(res, work, store, context) : send(res, work, store));
  };
}

/** What the chat endpoint finds wrong with a field, under the name that it has here. */
async function inOwnWords<T>(begun: Promise<T>): Promise<T> {
  try {
    return await begun;
  } catch (error) {
    if (!(error instanceof InvalidRequestError) || error.param === null) throw error;
    const param = inOwnPath(error.param);
    throw new InvalidRequestError(error.message.replaceAll(error.param, param), param);
  }
}

function inOwnPath(param: string): string {
  return param
    .replace(/^response_format(\.json_schema)?/, "text.format")
    .replace(/^(tools\[\d+\])\.function/, "$1")
    .replace(/^tool_choice\.allowed_tools/, "tool_choice")
    .replace(/^(tool_choice(\.tools\[\d+\])?)\.function/, "$1")
    .replace(/^messages$/, "input")
    .replace(/^reasoning_effort/, "reasoning.effort");
}

async function send(res: Response, work: Work, store: ResponseStore): Promise<void> {
  const output = new ResponseOutput();
  let routed: RoutedEvent | undefined;
  const end = await drain(work, {
    onRoute(route) {
      routed = route;
      return undefined;
    },
    onPiece(piece) {
      Array.from(output.take(piece));
      return undefined;
    },
  });
  Array.from(output.finish(end.finish.reason !== "length"));
  setRouteHeaders(res, routed!);
  res.json(keep(work, output, end, store));
}

async function stream(
  res: Response,
  work: Work,
  store: ResponseStore,
  { keepAliveMs, metrics }: GenerationContext,
): Promise<void> {
  const { head, answer } = work;
  const output = new ResponseOutput();
  const start = new StreamStart({
    open(route) {
      if (route !== null) setRouteHeaders(res, route);
      return new SseStream(res, keepAliveMs, responseSpelling());
    },
    silenceMs: keepAliveMs,
    signal: answer.controller.signal,
  });
  let sse: PieceStream | undefined;
  const sendAll = async (events: Iterable<ResponseEvent>) => {
    for (const event of events) await sse?.send(event);
  };
  try {
    const end = await drain(work, {
      async onRoute(route) {
        start.begin(route);
        sse = await start.stream;
        const response = toWireResponse(head, [], null);
        await sendAll([
          { type: "response.created", response },
          { type: "response.in_progress", response },
        ]);
      },
      onPiece: (piece) => sendAll(output.take(piece)),
    });
    const isWhole = end.finish.reason !== "length";
    await sendAll(output.finish(isWhole));
    const response = keep(work, output, end, store);
    await sendAll([{ type: isWhole ? "response.completed" : "response.incomplete", response }]);
    sse?.end();
  } catch (error) {
    if (start.begun === null) throw error;
    start.begun.fail(reportError(error, recordOf(res).log, metrics));
  }
}

interface PieceSink {
  onRoute(route: RoutedEvent): Promise<void> | undefined;
  onPiece(piece: ChatPiece): Promise<void> | undefined;
}

/** @throws what ended the answer early */
async function drain({ answer }: Work, sink: PieceSink): Promise<ResponseEnd> {
  const choice = answer.choices[0]!;
  const writer = answer.writers[0]!;
  let routed: RoutedEvent | undefined;
  const take = async (pieces: readonly object[]) => {
    for (const piece of pieces) await sink.onPiece(piece as ChatPiece);
  };
  const finish = await drainChoice(choice, {
    onRoute(route) {
      routed = route;
      answer.onRoute(route);
      return sink.onRoute(route);
    },
    onText: (event: TextEvent) => take(writer.write(event)),
  });
  await take([writer.last(finish.reason)]);
  const reasoningTokens = writer.reasoningTokens ?? 0;
  return { finish, route: routed!, reasoningTokens, completedAt: Math.floor(Date.now() / 1000) };
}

/** Stores the response where that is wanted, and gives what the client gets. */
function keep(
  { head, owner, input }: Work,
  output: ResponseOutput,
  end: ResponseEnd,
  store: ResponseStore,
): object {
  const wire = toWireResponse(head, output.items, end);
  if (head.body.store) store.add(head.id, { owner, wire, input, output: output.items });
  return wire;
}

/** GET /v1/responses/{id} */
export function retrieveResponse(store: ResponseStore): RequestHandler {
  return (req, res) => {
    // Events are not kept.
    const { stream } = req.query;
    if (stream !== undefined && stream !== "false") {
      throw new UnsupportedParameterError("stream", "only false is accepted.");
    }
    res.json(store.get(String(req.params["id"]), ownerOf(res)).wire);
  };
}

/** GET /v1/responses/{id}/input_items */
export function listInputItems(store: ResponseStore): RequestHandler {
  return (req, res) => {
    const query = validate(inputItemsQuery, req.query);
    const { input } = store.get(String(req.params["id"]), ownerOf(res));
    res.json(toItemPage(input, query));
  };
}

/** DELETE /v1/responses/{id} */
export function deleteResponse(store: ResponseStore): RequestHandler {
  return (req, res) => {
    const id = String(req.params["id"]);
    store.delete(id, ownerOf(res));
    res.json({ id, object: "response", deleted: true });
  };
}

/** Without keys everybody is one: an address is not who somebody is. */
function ownerOf(res: Response): string {
  const { client } = res.locals as { client: ClientId };
  return client.startsWith("key ") ? client : "everybody";
}
