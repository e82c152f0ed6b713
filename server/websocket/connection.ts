import type { IncomingMessage } from "node:http";
import { WebSocket } from "ws";
import { CancelledError } from "../../engine/contract/errors.ts";
import { streamAnswer } from "../generation/answer.ts";
import { createAnswerController } from "../http/answer-controller.ts";
import { chatEndpoint } from "../generation/chat.ts";
import { checkJson } from "../http/check-json.ts";
import type { Clock } from "../base/clock.ts";
import { completionEndpoint } from "../generation/completions.ts";
import { reportError } from "../http/error-response.ts";
import { InvalidRequestError, quote } from "../base/errors.ts";
import {
  answerBeginner,
  type GenerationContext,
  usageOptions,
} from "../generation/generation-endpoint.ts";
import type { Log } from "../base/log.ts";
import { requestIdOf } from "../http/request-middleware.ts";
import { RequestRecord } from "../http/request-record.ts";
import type { ClientId } from "../security/api-keys.ts";
import { InvalidApiKeyError, RateLimitError } from "../base/access-errors.ts";
import type { Security } from "../security/security.ts";
import { StreamStart } from "../generation/stream-start.ts";
import { parseTraceparent } from "../tracing/trace-context.ts";
import { AnswerEvents, toErrorEvent } from "./answer-events.ts";
import type { WebSocketLimits } from "./limits.ts";
import { type GenerateMessage, intendedId, parseJson, readMessage } from "./messages.ts";
import { Outbox } from "./outbox.ts";

export interface ConnectionOptions extends GenerationContext {
  readonly security: Security;
  readonly limits: WebSocketLimits;
  readonly clock: Clock;
}

/** In traces. */
const webSocketRoute = "/v1/ws";

/** Close codes of RFC 6455. */
const closeCode = { normal: 1000, goingAway: 1001, policy: 1008 } as const;

/** One client's WebSocket: any number of answers side by side. */
export class Connection {
  readonly #ws: WebSocket;
  readonly #request: IncomingMessage;
  readonly #address: string | undefined;
  readonly #requestId: string;
  readonly #options: ConnectionOptions;
  readonly #begin: Record<GenerateMessage["type"], ReturnType<typeof answerBeginner>>;
  readonly #outbox: Outbox;
  readonly #running = new Map<string, AbortController>();
  readonly #openedMs: number;
  /** Null until the key has come. */
  #client: ClientId | null;
  #isStopping = false;
  #isAnswering = true;
  #pingedMs: number;
  #activeMs: number;

  /**
   * @param request - the one that was upgraded; its headers hold for all answers
   * @param client - null where a key is needed and has not come
   */
  constructor(
    ws: WebSocket,
    request: IncomingMessage,
    client: ClientId | null,
    options: ConnectionOptions,
  ) {
    const { clock, limits, metrics } = options;
    this.#ws = ws;
    this.#request = request;
    this.#address = request.socket.remoteAddress;
    this.#requestId = requestIdOf(headerOf(request, "x-request-id"));
    this.#client = client;
    this.#options = options;
    this.#openedMs = this.#pingedMs = this.#activeMs = clock.nowMs();
    this.#begin = {
      chat: answerBeginner(chatEndpoint, options),
      completion: answerBeginner(completionEndpoint, options),
    };
    this.#outbox = new Outbox(ws, {
      maxBufferedBytes: limits.maxBufferedBytes,
      nowMs: () => clock.nowMs(),
      onSent: (type) => metrics.countWebSocketMessage("sent", type),
    });
    ws.on("message", (data, isBinary) => {
      if (ws.readyState !== WebSocket.OPEN) return;
      this.#activeMs = clock.nowMs();
      // Of the possible forms of `data` this is the one that servers get.
      this.#onMessage(data as Buffer, isBinary);
    });
    ws.on("pong", () => (this.#isAnswering = true));
    // What is no valid frame: the connection is closed with the code for it.
    ws.on("error", (error) => this.#options.log.debug("websocket", { error: error.message }));
    ws.on("close", () => this.#cancelAll());
  }

  /** Whether the client is still there, and does what it should; called again and again. */
  tick(): void {
    const { limits, clock } = this.#options;
    const nowMs = clock.nowMs();
    if (this.#outbox.stalledMs >= limits.slowClientMs) {
      this.#close(closeCode.policy, "the client reads too slowly");
    } else if (this.#outbox.isStalled) {
      // Nothing is read from it meanwhile, so that it cannot answer a ping.
      this.#isAnswering = true;
    } else if (this.#client === null && nowMs - this.#openedMs >= limits.authMs) {
      this.#fail(new InvalidApiKeyError(true));
      this.#close(closeCode.policy, "no API key came");
    } else if (this.#running.size === 0 && nowMs - this.#activeMs >= limits.idleMs) {
      this.#close(closeCode.normal, "idle");
    } else if (nowMs - this.#pingedMs >= limits.pingMs) {
      if (!this.#isAnswering) {
        this.#ws.terminate();
        return;
      }
      this.#isAnswering = false;
      this.#pingedMs = nowMs;
      this.#ws.ping();
    }
  }

  /** Begins nothing more, and closes when what is running has ended. */
  stop(): void {
    this.#isStopping = true;
    if (this.#running.size === 0) this.#close(closeCode.goingAway, "the server is shutting down");
  }

  #onMessage(data: Buffer, isBinary: boolean): void {
    const { metrics, security } = this.#options;
    let raw: unknown;
    try {
      metrics.countWebSocketMessage("received", isBinary ? "binary" : "text");
      if (isBinary) {
        throw new InvalidRequestError("Messages are text frames with JSON, got a binary frame.");
      }
      checkJson(data);
      raw = parseJson(data.toString());
      const message = readMessage(raw);
      if (message.type === "auth") {
        this.#client = security.keys.clientWithKey(message.api_key, this.#address);
        void this.#outbox.send({ type: "authenticated" });
        return;
      }
      if (this.#client === null) throw new InvalidApiKeyError(true);
      if (message.type === "ping") void this.#outbox.send({ type: "pong" });
      else if (message.type === "cancel") this.#cancel(message.id);
      else void this.#generate(message, this.#client);
    } catch (error) {
      const id = intendedId(raw);
      this.#fail(error, id !== undefined && this.#running.has(id) ? undefined : id);
      const hasNoKey = error instanceof InvalidApiKeyError || this.#client === null;
      if (hasNoKey) this.#close(closeCode.policy, "API key needed");
    }
  }

  /** Never rejects. */
  async #generate({ type, id, body }: GenerateMessage, client: ClientId): Promise<void> {
    if (this.#running.has(id)) {
      const message = `The id ${quote(id)} is that of an answer that is running; that goes on.`;
      this.#fail(new InvalidRequestError(message, "id"));
      return;
    }
    const { security, inFlight, metrics, limits } = this.#options;
    const controller = createAnswerController();
    const record = this.#recordOf(type, id);
    const { log } = record;
    const ends: (() => void)[] = [];
    let status = 200;
    try {
      if (this.#running.size >= limits.maxRunning) {
        const reached = `answers running on one connection: Limit ${limits.maxRunning}`;
        throw new RateLimitError(reached, 1, "concurrency");
      }
      ends.push(security.admission.admit(client));
      this.#running.set(id, controller);
      ends.push(inFlight.track(controller), () => this.#running.delete(id));
      if (body["stream"] === false) {
        const message = "stream: a WebSocket answers piece by piece; leave it out (got false)";
        throw new InvalidRequestError(message, "stream");
      }
      const { answer, body: read } = await this.#begin[type]({
        body: { ...body, stream: true },
        header: (name) => headerOf(this.#request, name),
        begin: () => controller,
        record,
      });
      const start = new StreamStart({
        open: (route) => new AnswerEvents(this.#outbox, id, answer, route),
        silenceMs: null,
        signal: controller.signal,
      });
      await streamAnswer(start, answer, {
        ...usageOptions(read),
        includeUsage: true,
        log,
        metrics,
      });
    } catch (error) {
      status = this.#fail(error, id, log);
    } finally {
      for (const end of ends) end();
      record.end({ endpoint: "websocket", route: webSocketRoute, status });
      this.#activeMs = this.#options.clock.nowMs();
      if (this.#isStopping) this.stop();
    }
  }

  /** An answer that has ended meanwhile is not an error. */
  #cancel(id: string): void {
    this.#running.get(id)?.abort(new CancelledError(id));
  }

  #cancelAll(): void {
    for (const id of this.#running.keys()) this.#cancel(id);
  }

  /** Each answer is a request of its own, by the ids of the connection and of the message. */
  #recordOf(method: GenerateMessage["type"], messageId: string): RequestRecord {
    const { log, tracer } = this.#options;
    const parent = parseTraceparent(headerOf(this.#request, "traceparent"));
    const requestId = this.#requestId;
    return new RequestRecord({ requestId, method, parent, log: log.with({ messageId }), tracer });
  }

  /**
   * @param id - of the answer that the error ends, if it ends one
   * @returns the status that HTTP has for it
   */
  #fail(error: unknown, id?: string, log: Log = this.#options.log): number {
    const response = reportError(error, log, this.#options.metrics);
    void this.#outbox.send(toErrorEvent(response, id));
    return response.status;
  }

  #close(code: number, reason: string): void {
    this.#cancelAll();
    // Or the answer to the closing would not be read.
    this.#ws.resume();
    this.#ws.close(code, reason);
  }
}

function headerOf(request: IncomingMessage, name: string): string | undefined {
  const value = request.headers[name.toLowerCase()];
  return Array.isArray(value) ? value.join(", ") : value;
}
