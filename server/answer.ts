import type { Response } from "express";
import type { FinishReason, RoutedEvent } from "../engine/request.ts";
import { type Choice, drainChoice, type FinishEvent, settleAll } from "./choices.ts";
import { reportError } from "./error-response.ts";
import type { Log } from "./log.ts";
import type { Metrics } from "./metrics.ts";
import type { PieceStream } from "./piece-stream.ts";
import { setRouteHeaders, toWireRoute } from "./routing/route-wire.ts";
import type { StreamStart } from "./stream-start.ts";

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
  /** Called with the first choice's route, which its prompt's other choices share. */
  readonly onRoute: (route: RoutedEvent) => void;
}

/** Answers with one JSON object. */
export async function sendAnswer(res: Response, answer: Answer): Promise<void> {
  const { head, format, choices, choicesPerPrompt, controller, onRoute } = answer;
  const texts = choices.map(() => "");
  const routes: RoutedEvent[] = [];
  const finishes = await settleAll(controller, choices, (choice, index) =>
    drainChoice(choice, {
      onRoute(route) {
        routes[index] = route;
        if (index === 0) onRoute(route);
        return undefined;
      },
      onText(text) {
        texts[index] += text;
        return undefined;
      },
    }),
  );
  const [first] = routes;
  if (first !== undefined) setRouteHeaders(res, first);
  const hasPrompts = choices.length > choicesPerPrompt;
  res.json({
    id: head.id,
    object: format.object,
    created: head.created,
    model: head.model,
    choices: finishes.map((finish, index) => ({
      ...format.choice(index, texts[index] ?? "", finish.reason),
      // Prompts of one request may have different tasks.
      ...(hasPrompts && { seap: toWireRoute(routes[index]!) }),
    })),
    usage: toUsage(finishes, choicesPerPrompt),
    ...(first !== undefined && { seap: toWireRoute(first) }),
  });
}

export interface StreamOptions {
  readonly includeUsage: boolean;
  readonly log: Log;
  readonly metrics: Metrics;
}

/**
 * Answers piece by piece. The stream begins with the route; an error after that is its end.
 * @throws what went wrong before the stream began.
 */
export async function streamAnswer(
  start: StreamStart,
  answer: Answer,
  { includeUsage, log, metrics }: StreamOptions,
): Promise<void> {
  const { head, format, choices, choicesPerPrompt, controller, onRoute } = answer;
  const { id, created, model } = head;
  const object = format.chunkObject;
  const chunk = (piece: object) => ({
    id,
    object,
    created,
    model,
    choices: [piece],
    ...(includeUsage && { usage: null }),
  });
  try {
    const finishes = await settleAll(controller, choices, async (choice, index) => {
      let stream: PieceStream | undefined;
      let seap: object | undefined;
      const finish = await drainChoice(choice, {
        async onRoute(route) {
          seap = toWireRoute(route);
          if (index === 0) {
            onRoute(route);
            start.begin(route);
          }
          stream = await start.stream;
          const first = format.firstPiece(index);
          if (first !== undefined) await stream.send(chunk(first));
        },
        onText: (text) => stream?.send(chunk(format.textPiece(index, text))),
      });
      await stream?.send({ ...chunk(format.lastPiece(index, finish.reason)), seap });
      return finish;
    });
    const stream = await start.stream;
    if (includeUsage) {
      const usage = toUsage(finishes, choicesPerPrompt);
      await stream.send({ id, object, created, model, choices: [], usage });
    }
    stream.end();
  } catch (error) {
    if (start.begun === null) throw error;
    start.begun.fail(reportError(error, log, metrics).body);
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
