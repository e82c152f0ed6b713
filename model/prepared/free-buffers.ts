import { MessageChannel } from "node:worker_threads";
import { tensorParts } from "../stages/stage-tensor.ts";
import type { StageWeights } from "../stages/stage-tensor.ts";

/** The memory that weights lie in. */
export function buffersOf(weights: StageWeights): ArrayBuffer[] {
  const parts = [...weights.values()].flatMap(tensorParts);
  return [...new Set(parts.map(([, { buffer }]) => buffer as ArrayBuffer))];
}

/**
 * Gives the memory of weights back at once, where the garbage collector would leave some hundred megabytes for a while:
 * the message that takes it along is never received. Nobody may read them any more.
 */
export function freeBuffers(weights: StageWeights): void {
  const { port1, port2 } = new MessageChannel();
  port1.postMessage(null, buffersOf(weights));
  port1.close();
  port2.close();
}
