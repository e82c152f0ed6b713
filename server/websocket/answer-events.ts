import type { DeltaEvent, ServerEvent, Usage } from "../../client/messages.ts";
import type { RoutedEvent } from "../../engine/contract/request.ts";
import type { Answer } from "../generation/answer.ts";
import type { ErrorResponse } from "../http/error-response.ts";
import type { PieceStream } from "../http/piece-stream.ts";
import { toWireRoute } from "../routing/route-wire.ts";
import type { Outbox } from "./outbox.ts";

/** A chunk of the HTTP stream, as far as it matters here. */
interface Piece extends Pick<DeltaEvent, "choices" | "seap"> {
  readonly usage?: Usage | null;
}

/** Spells the pieces of one answer as events. */
export class AnswerEvents implements PieceStream {
  readonly #outbox: Outbox;
  readonly #id: string;
  #finishReason: string | null = null;
  #usage: Usage | null = null;

  /** Sends `start`. */
  constructor(
    outbox: Outbox,
    id: string,
    { head, unenforced }: Pick<Answer, "head" | "unenforced">,
    route: RoutedEvent | null,
  ) {
    this.#outbox = outbox;
    this.#id = id;
    const { id: response_id, created, model } = head;
    const seap = route && toWireRoute(route);
    void outbox.send({
      type: "start",
      id,
      response_id,
      created,
      model,
      ...(unenforced.length > 0 && { unenforced }),
      seap,
    });
  }

  send(piece: object): Promise<void> | undefined {
    const { choices, usage, seap } = piece as Piece;
    if (choices.length === 0) {
      this.#usage = usage ?? null;
      return undefined;
    }
    const first = choices.find(({ index }) => index === 0);
    this.#finishReason ??= first?.finish_reason ?? null;
    return this.#outbox.send({
      type: "delta",
      id: this.#id,
      choices,
      ...(usage != null && { usage }),
      ...(seap && { seap }),
    });
  }

  end(): void {
    const [finish_reason, usage] = [this.#finishReason, this.#usage];
    void this.#outbox.send({ type: "done", id: this.#id, finish_reason, usage });
  }

  fail(response: ErrorResponse): void {
    void this.#outbox.send(toErrorEvent(response, this.#id));
  }
}

/** @param id - of the answer that the error ends, if it ends one */
export function toErrorEvent({ status, headers, body }: ErrorResponse, id?: string): ServerEvent {
  const retryAfter = headers["Retry-After"];
  return {
    type: "error",
    ...(id !== undefined && { id }),
    status,
    ...body,
    ...(retryAfter !== undefined && { retry_after: Number(retryAfter) }),
  };
}
