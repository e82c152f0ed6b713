import type { Response } from "express";
import type { FinishReason } from "../engine/request.ts";
import { type Choice, drainChoice, type FinishEvent, settleAll } from "./choices.ts";
import { reportError } from "./error-response.ts";
import type { Log } from "./log.ts";
import type { Metrics } from "./metrics.ts";
import { SseStream } from "./sse.ts";

/** How an endpoint spells its answers. */
export interface AnswerFormat {
  /** `object` of a whole answer. */
  readonly object: string;
  /** `object` of a streamed piece. */
  readonly chunkObject: string;
  choice(index: number, text: string, reason: FinishReason): object;
  /** Choice of the first piece; undefined where there is none before the first text. */
  firstPiece(index: number): object | undefined;
  textPiece(index: number, text: string): object;
  lastPiece(index: number, reason: FinishReason): object;
}

/** What all pieces of one answer share. */
export interface AnswerHead {
  readonly id: string;
  /** Unix seconds. */
  readonly created: number;
  readonly model: string;
}

export interface Answer {
  readonly head: AnswerHead;
  readonly format: AnswerFormat;
  readonly choices: readonly Choice[];
  /** Choices of the same prompt follow each other; its tokens count once. */
  readonly choicesPerPrompt: number;
  readonly controller: AbortController;
}

/** Answers with one JSON object. */
export async function sendAnswer(res: Response, answer: Answer): Promise<void> {
  const { head, format, choices, choicesPerPrompt, controller } = answer;
  const texts = choices.map(() => "");
  const finishes = await settleAll(controller, choices, (choice, index) =>
    drainChoice(choice, (text) => {
      texts[index] += text;
      return undefined;
    }),
  );
  res.json({
    id: head.id,
    object: format.object,
    created: head.created,
    model: head.model,
    choices: finishes.map((finish, index) =>
      format.choice(index, texts[index] ?? "", finish.reason),
    ),
    usage: toUsage(finishes, choicesPerPrompt),
  });
}

export interface StreamOptions {
  readonly includeUsage: boolean;
  readonly keepAliveMs: number;
  readonly log: Log;
  readonly metrics: Metrics;
}

/** Answers with server-sent events. Never throws: an error is the last event. */
export async function streamAnswer(
  res: Response,
  answer: Answer,
  { includeUsage, keepAliveMs, log, metrics }: StreamOptions,
): Promise<void> {
  const { head, format, choices, choicesPerPrompt, controller } = answer;
  const sse = new SseStream(res, keepAliveMs);
  const { id, created, model } = head;
  const object = format.chunkObject;
  const send = (piece: object) =>
    sse.send({
      id,
      object,
      created,
      model,
      choices: [piece],
      ...(includeUsage && { usage: null }),
    });
  try {
    const finishes = await settleAll(controller, choices, async (choice, index) => {
      const first = format.firstPiece(index);
      if (first !== undefined) await send(first);
      const finish = await drainChoice(choice, (text) => send(format.textPiece(index, text)));
      await send(format.lastPiece(index, finish.reason));
      return finish;
    });
    if (includeUsage) {
      const usage = toUsage(finishes, choicesPerPrompt);
      await sse.send({ id, object, created, model, choices: [], usage });
    }
    sse.end();
  } catch (error) {
    sse.fail(reportError(error, log, metrics).body);
  }
}

function toUsage(finishes: readonly FinishEvent[], choicesPerPrompt: number): object {
  let promptTokens = 0;
  let completionTokens = 0;
  for (const [index, finish] of finishes.entries()) {
    if (index % choicesPerPrompt === 0) promptTokens += finish.promptTokens;
    completionTokens += finish.completionTokens;
  }
  return {
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    total_tokens: promptTokens + completionTokens,
    prompt_tokens_details: { cached_tokens: 0 },
  };
}
