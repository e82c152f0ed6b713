import { z } from "zod";
import type { ClientMessage as SentMessage } from "../../client/messages.ts";
import { InvalidJsonError, InvalidRequestError } from "../base/errors.ts";
import { validate } from "../http/parse-body.ts";

export type { ServerEvent } from "../../client/messages.ts";

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
) satisfies z.ZodType<SentMessage>;

/** What a client sends, as it is checked. */
export type ClientMessage = z.output<typeof messageSchema>;

export type GenerateMessage = Extract<ClientMessage, { type: "chat" | "completion" }>;

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
