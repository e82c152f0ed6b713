import type { Response } from "express";
import type {
  FinishEvent,
  FinishReason,
  RoutedEvent,
  TextEvent,
} from "../../engine/contract/request.ts";
import { type Choice, drainChoice, settleAll } from "./choices.ts";
import { reportError } from "../http/error-response.ts";
import type { Log } from "../base/log.ts";
import type { Metrics } from "../metrics/metrics.ts";
import type { PieceStream } from "../http/piece-stream.ts";
import { setRouteHeaders, toWireRoute } from "../routing/route-wire.ts";
import type { StreamStart } from "./stream-start.ts";

/** How an endpoint names its answers. */
export interface AnswerFormat {
  /** `object` of a whole answer. */
  readonly object: string;
  /** `object` of a streamed piece. */
  readonly chunkObject: string;
}

/** Spells one choice, and keeps what the whole of it needs. */
export interface ChoiceWriter {
  /** Tokens of the reasoning so far; null where none is told from the text. */
  readonly reasoningTokens: number | null;
  /** Choice of the first piece; undefined where there is none before the first text. */
  first(): object | undefined;
  /** Takes the next event, `finish` last. @returns the choices of the pieces that it becomes, maybe none */
  write(event: TextEvent): readonly object[];
  /** Choice of the last piece, after all events. */
  last(reason: FinishReason): object;
  /** The whole choice, after all events. */
  whole(reason: FinishReason): object;
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
  /** One for each choice. */
  readonly writers: readonly ChoiceWriter[];
  /** Choices of the same prompt follow each other; its tokens count once. */
  readonly choicesPerPrompt: number;
  readonly controller: AbortController;
  /** Called with the first choice's route, which its prompt's other choices share. */
  readonly onRoute: (route: RoutedEvent) => void;
  /** Places of what the client has described and the answer is not held to. */
  readonly unenforced: readonly string[];
}

/** Answers with one JSON object. */
export async function sendAnswer(res: Response, answer: Answer): Promise<void> {
  const { head, format, choices, writers, choicesPerPrompt, controller, onRoute } = answer;
  const routes: RoutedEvent[] = [];
  const finishes = await settleAll(controller, choices, (choice, index) =>
    drainChoice(choice, {
      onRoute(route) {
        routes[index] = route;
        if (index === 0) onRoute(route);
        return undefined;
      },
      onText(event) {
        writers[index]!.write(event);
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
      ...writers[index]!.whole(finish.reason),
      // Prompts of one request may have different tasks.
      ...(hasPrompts && { seap: toWireRoute(routes[index]!) }),
    })),
    usage: toUsage(finishes, writers, choicesPerPrompt),
    ...(first !== undefined && { seap: toWireRoute(first) }),
  });
}

export interface StreamOptions {
  /** What was used, in a piece of its own at the end. */
  readonly includeUsage: boolean;
  /** What a choice has used so far, in each of its pieces. */
  readonly continuousUsage: boolean;
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
  { includeUsage, continuousUsage, log, metrics }: StreamOptions,
): Promise<void> {
  const { head, format, choices, writers, choicesPerPrompt, controller, onRoute } = answer;
  const { id, created, model } = head;
  const object = format.chunkObject;
  const chunk = (piece: object, usage: object) => ({
    id,
    object,
    created,
    model,
    choices: [piece],
    ...(continuousUsage ? { usage } : includeUsage && { usage: null }),
  });
  try {
    const finishes = await settleAll(controller, choices, async (choice, index) => {
      let stream: PieceStream | undefined;
      let seap: object | undefined;
      let completionTokens = 0;
      const writer = writers[index]!;
      const send = (piece: object) => {
        const promptTokens = choice.request.promptTokenIds.length;
        return stream?.send(chunk(piece, wireCounts(promptTokens, completionTokens)));
      };
      const finish = await drainChoice(choice, {
        async onRoute(route) {
          seap = toWireRoute(route);
          if (index === 0) {
            onRoute(route);
            start.begin(route);
          }
          stream = await start.stream;
          const first = writer.first();
          if (first !== undefined) await send(first);
        },
        onText(event) {
          completionTokens += event.numTokens;
          return sendAll(writer.write(event), send);
        },
      });
      const last = chunk(
        writer.last(finish.reason),
        wireUsage({ ...finish, completionTokens, reasoningTokens: writer.reasoningTokens }),
      );
      await stream?.send({ ...last, seap });
      return finish;
    });
    const stream = await start.stream;
    if (includeUsage) {
      const usage = toUsage(finishes, writers, choicesPerPrompt);
      await stream.send({ id, object, created, model, choices: [], usage });
    }
    stream.end();
  } catch (error) {
    if (start.begun === null) throw error;
    start.begun.fail(reportError(error, log, metrics));
  }
}

/** @returns a promise only where there is something to wait for. */
function sendAll(
  [first, ...more]: readonly object[],
  send: (piece: object) => Promise<void> | undefined,
): Promise<void> | undefined {
  if (first === undefined) return undefined;
  const slow = send(first);
  return more.length === 0 ? slow : Promise.resolve(slow).then(() => sendAll(more, send));
}

function toUsage(
  finishes: readonly FinishEvent[],
  writers: readonly ChoiceWriter[],
  choicesPerPrompt: number,
): object {
  let [promptTokens, cachedTokens, completionTokens] = [0, 0, 0];
  let reasoningTokens: number | null = null;
  for (const [index, finish] of finishes.entries()) {
    if (index % choicesPerPrompt === 0) {
      promptTokens += finish.promptTokens;
      cachedTokens += finish.cachedTokens;
    }
    completionTokens += finish.completionTokens;
    const { reasoningTokens: reasoning } = writers[index]!;
    if (reasoning !== null) reasoningTokens = (reasoningTokens ?? 0) + reasoning;
  }
  return wireUsage({ promptTokens, cachedTokens, completionTokens, reasoningTokens });
}

interface TokenCounts extends Pick<
  FinishEvent,
  "promptTokens" | "cachedTokens" | "completionTokens"
> {
  readonly reasoningTokens: number | null;
}

function wireUsage(counts: TokenCounts): object {
  const { promptTokens, cachedTokens, completionTokens, reasoningTokens } = counts;
  return {
    ...wireCounts(promptTokens, completionTokens),
    prompt_tokens_details: { cached_tokens: cachedTokens },
    ...(reasoningTokens !== null && {
      completion_tokens_details: { reasoning_tokens: reasoningTokens },
    }),
  };
}

function wireCounts(promptTokens: number, completionTokens: number): object {
  return {
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    total_tokens: promptTokens + completionTokens,
  };
}
