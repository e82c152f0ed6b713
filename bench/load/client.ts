import { request as httpRequest } from "node:http";
import type { IncomingMessage } from "node:http";
import { once } from "node:events";
import { readAnswer } from "./event-stream.ts";
import type { TimedChunk } from "./event-stream.ts";

/** A chat where there are messages, else a completion of token ids. */
export type Prompt =
  { readonly messages: readonly Message[] } | { readonly prompt: readonly number[] };

export interface Message {
  readonly role: "system" | "user" | "assistant";
  readonly content: string;
}

export interface AnswerOptions {
  readonly maxTokens: number;
  /** Whether the answer goes on to `maxTokens` whatever the model says. @default false */
  readonly ignoreEos?: boolean;
  /** Whether the beginning of the prompt may be taken from an earlier one. */
  readonly usesCache: boolean;
  /** Besides what every request has. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

/** A request as its client saw it; times in milliseconds on the process's clock. */
export interface RequestRecord {
  readonly startedAtMs: number;
  /** Null where no token came. */
  readonly firstTokenAtMs: number | null;
  /** When each event with text came. */
  readonly textAtMs: readonly number[];
  readonly endedAtMs: number;
  readonly promptTokens: number;
  /** As the server counts them: an event may hold several. */
  readonly completionTokens: number;
  readonly cachedTokens: number;
  /** Null where the answer was whole. */
  readonly error: string | null;
}

/**
 * Streams one greedy answer. The same request goes to every server, on a connection of its own. Nothing is thrown: what went
 * wrong is in the record.
 */
export async function streamAnswer(
  url: string,
  prompt: Prompt,
  options: AnswerOptions,
): Promise<{ record: RequestRecord; text: string }> {
  const { maxTokens, ignoreEos = false, usesCache } = options;
  const path = "messages" in prompt ? "/v1/chat/completions" : "/v1/completions";
  const body = JSON.stringify({
    ...prompt,
    max_tokens: maxTokens,
    temperature: 0,
    ignore_eos: ignoreEos,
    cache_prompt: usesCache,
    stream: true,
    stream_options: { include_usage: true },
  });
  const chunks: TimedChunk[] = [];
  const startedAtMs = performance.now();
  let error: string | null = null;
  let isRefused = false;
  try {
    const response = await post(`${url}${path}`, body, options);
    isRefused = response.statusCode !== 200;
    for await (const bytes of response as AsyncIterable<Uint8Array>) {
      chunks.push({ atMs: performance.now(), bytes });
    }
    if (isRefused) error = `${response.statusCode}: ${wholeText(chunks)}`;
  } catch (cause) {
    error = (cause as Error).message;
  }
  const endedAtMs = performance.now();
  // Read when all is there, so that reading takes no time from the answer.
  const answer = readAnswer(isRefused ? [] : chunks);
  if (answer.usage === null) error ??= "the answer has no usage";
  const record: RequestRecord = {
    startedAtMs,
    firstTokenAtMs: answer.textAtMs[0] ?? answer.finishedAtMs,
    textAtMs: answer.textAtMs,
    endedAtMs,
    promptTokens: answer.usage?.promptTokens ?? 0,
    completionTokens: answer.usage?.completionTokens ?? 0,
    cachedTokens: answer.usage?.cachedTokens ?? 0,
    error: answer.error ?? error,
  };
  return { record, text: answer.text };
}

async function post(
  url: string,
  body: string,
  { headers, signal }: Pick<AnswerOptions, "headers" | "signal">,
): Promise<IncomingMessage> {
  const sent = httpRequest(url, {
    method: "POST",
    agent: false,
    headers: {
      ...headers,
      "content-type": "application/json",
      "content-length": Buffer.byteLength(body),
    },
    ...(signal && { signal }),
  });
  sent.end(body);
  const [response] = (await once(sent, "response")) as [IncomingMessage];
  return response;
}

function wholeText(chunks: readonly TimedChunk[]): string {
  return Buffer.concat(chunks.map(({ bytes }) => bytes)).toString();
}
