import { InferenceError } from "../../engine/contract/errors.ts";
import type {
  Engine,
  FinishEvent,
  GenerateRequest,
  Reading,
} from "../../engine/contract/request.ts";
import type { RoutingRequest } from "../../engine/contract/routing.ts";
import { greedy } from "../../engine/sequence/sampler.ts";
import { settleAll } from "../generation/choices.ts";

/** The engine takes one prompt at a time; a second one is there when the first is through. */
const maxWaiting = 2;

/** A request that reads a prompt and answers nothing. */
export interface ReadingRequest<Kind extends Reading["kind"]> extends GenerateRequest {
  readonly reading: Kind;
}

export function readingRequest<Kind extends Reading["kind"]>(
  id: string,
  promptTokenIds: Uint32Array,
  reading: Kind,
  routing?: RoutingRequest,
): ReadingRequest<Kind> {
  return {
    id,
    promptTokenIds,
    maxTokens: 0,
    sampling: greedy,
    stop: [],
    ignoreEos: true,
    reading,
    ...(routing && { routing }),
  };
}

/**
 * Reads prompts, few at a time, so that many of them do not fill the queue.
 * @returns their readings, in order
 * @throws what the engine throws, and the controller's reason
 */
export async function readPrompts<Kind extends Reading["kind"]>(
  engine: Engine,
  requests: readonly ReadingRequest<Kind>[],
  controller: AbortController,
): Promise<Extract<Reading, { kind: Kind }>[]> {
  const readings: Extract<Reading, { kind: Kind }>[] = [];
  let next = 0;
  await settleAll(controller, Array.from({ length: maxWaiting }), async () => {
    while (next < requests.length) {
      const index = next++;
      const { reading } = await finishOf(engine, requests[index]!, controller.signal);
      readings[index] = reading as Extract<Reading, { kind: Kind }>;
    }
  });
  return readings;
}

async function finishOf(
  engine: Engine,
  request: GenerateRequest,
  signal: AbortSignal,
): Promise<FinishEvent> {
  for await (const event of engine.generate(request, signal)) {
    if (event.type === "finish") return event;
  }
  throw new InferenceError(`Request ${request.id} ended without a finish event.`);
}
