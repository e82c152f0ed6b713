import { z } from "zod";
import type { ErrorBody } from "../http/error-response.ts";
import { InvalidJsonError, InvalidRequestError } from "../base/errors.ts";
import { validate } from "../http/parse-body.ts";
import type { WireRoute } from "../routing/route-wire.ts";

const maxIdLength = 128;

const id = z.string().min(1).max(maxIdLength);
const body = z.record(z.string(), z.unknown());

const messageSchema = z.discriminatedUnion(
  "type",
  [
    z.strictObject({ type: z.literal("chat"), id, body }),
    z.strictObject({ type: z.literal("completion"), id, body }),
    z.strictObject({ type: z.literal("cancel"), id }),
    z.strictObject({ type: z.literal("auth"), api_key: z.string() }),
    z.strictObject({ type: z.literal("ping") }),
  ],
  { error: "expected chat, completion, cancel, auth or ping" },
);

/** What a client sends. */
export type ClientMessage = z.output<typeof messageSchema>;

export type GenerateMessage = Extract<ClientMessage, { type: "chat" | "completion" }>;

/** What the server sends. An answer is one `start`, `delta`s and one `done`; or it ends with an `error`. */
export type ServerEvent =
  | { readonly type: "authenticated" }
  | { readonly type: "pong" }
  | {
      readonly type: "start";
      readonly id: string;
      readonly response_id: string;
      /** Unix seconds. */
      readonly created: number;
      readonly model: string;
      /** Places of what the body describes and the answer is not held to, where there are any. */
      readonly unenforced?: readonly string[];
      /** Null only where the route took longer than the client may be left in silence. */
      readonly seap: WireRoute | null;
    }
  | {
      readonly type: "delta";
      readonly id: string;
      /** As in the chunks of the HTTP stream. */
      readonly choices: readonly object[];
      /** Of the choice so far, where the body asks for `continuous_usage_stats`. */
      readonly usage?: object;
      /** Of the choice, in its last delta. */
      readonly seap?: WireRoute;
    }
  | {
      readonly type: "done";
      readonly id: string;
      /** Of the first choice. */
      readonly finish_reason: string | null;
      readonly usage: object | null;
    }
  | ({
      readonly type: "error";
      /** Absent where the error does not end an answer. */
      readonly id?: string;
      /** The HTTP status that the error would have. */
      readonly status: number;
      /** Seconds. */
      readonly retry_after?: number;
    } & ErrorBody);

/** @throws InvalidJsonError */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    throw new InvalidJsonError(`The message is not valid JSON: ${(error as Error).message}`);
  }
}

/** @throws InvalidRequestError naming the first field that does not fit. */
export function readMessage(message: unknown): ClientMessage {
  if (typeof message !== "object" || message === null || Array.isArray(message)) {
    throw new InvalidRequestError("A message must be a JSON object.");
  }
  return validate(messageSchema, { ...message });
}

/** The id of the answer that a message was meant to begin, as far as it can be told. */
export function intendedId(message: unknown): string | undefined {
  const { type, id: given } = (message ?? {}) as { type?: unknown; id?: unknown };
  const begins = type === "chat" || type === "completion";
  return begins && id.safeParse(given).success ? (given as string) : undefined;
}
