import { request as httpRequest } from "node:http";
import type { IncomingMessage } from "node:http";
import { once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import { streamAnswer } from "../load/client.ts";

/** What came of one. */
export interface Outcome {
  readonly kind: string;
  /** Null where the server did what it should. */
  readonly problem: string | null;
}

const messages = [{ role: "user", content: "Tell me a long story about a harbour." }] as const;
const longAnswer = { maxTokens: 400, ignoreEos: true, usesCache: true };

/** Leaves in the middle of an answer, or before it. */
export async function abort(url: string, random: () => number): Promise<Outcome> {
  const signal = AbortSignal.timeout(20 + Math.floor(2000 * random()));
  const { record } = await streamAnswer(url, { messages }, { ...longAnswer, signal });
  const isRefused = record.error !== null && /^5/.test(record.error);
  return { kind: "aborted requests", problem: isRefused ? record.error : null };
}

/** Reads nothing for some seconds, then the rest. */
export async function readSlowly(url: string, random: () => number): Promise<Outcome> {
  const kind = "slow readers";
  const { maxTokens: max_tokens, ignoreEos: ignore_eos } = longAnswer;
  const body = JSON.stringify({ messages, max_tokens, ignore_eos, stream: true });
  const response = await send(url, "/v1/chat/completions", body);
  response.pause();
  await delay(1000 + 7000 * random());
  response.resume();
  let text = "";
  for await (const piece of response) text += String(piece);
  if (response.statusCode !== 200) return { kind, problem: `status ${response.statusCode}` };
  return { kind, problem: text.includes("[DONE]") ? null : "the answer has no end" };
}

const chat = "/v1/chat/completions";
/** Paths and bodies that are no requests, and the status that they deserve. */
const badRequests: readonly (readonly [path: string, body: string, status: number])[] = [
  [chat, "{", 400],
  [chat, "", 400],
  [chat, JSON.stringify({ messages: "hello" }), 400],
  [chat, JSON.stringify({ messages: [] }), 400],
  [chat, JSON.stringify({ messages, temperature: -1 }), 400],
  [chat, JSON.stringify({ messages, guided_regex: "(" }), 400],
  [chat, JSON.stringify({ messages, logit_bias: { nothing: 1 } }), 400],
  [chat, JSON.stringify({ messages, model: "no-such-model" }), 404],
  [chat, JSON.stringify({ messages: [{ role: "user", content: "word ".repeat(20_000) }] }), 400],
  [chat, " ".repeat(9 * 2 ** 20), 413],
  ["/v1/completions", JSON.stringify({ prompt: [-1] }), 400],
  ["/v1/nothing", "{}", 404],
];

/** One that is no request, so that it is refused. */
export async function askBadly(url: string, random: () => number): Promise<Outcome> {
  const [path, body, status] = badRequests[Math.floor(badRequests.length * random())]!;
  const response = await send(url, path, body);
  response.resume();
  await once(response, "end");
  const isRight = response.statusCode === status;
  return {
    kind: "bad requests",
    problem: isRight ? null : `${path}: status ${response.statusCode}, expected ${status}`,
  };
}

async function send(url: string, path: string, body: string): Promise<IncomingMessage> {
  const headers = { "content-type": "application/json" };
  const sent = httpRequest(`${url}${path}`, { method: "POST", agent: false, headers });
  sent.end(body);
  const [response] = (await once(sent, "response")) as [IncomingMessage];
  return response;
}
