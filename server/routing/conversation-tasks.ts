import { createHash } from "node:crypto";
import type { ChatMessage } from "../codec.ts";

/** About 1 MiB. */
const maxConversations = 10_000;
/** A conversation that nobody went on with for so long is forgotten. */
const timeoutMs = 60 * 60 * 1000;

interface Remembered {
  readonly task: string | null;
  readonly atMs: number;
}

/**
 * The tasks of conversations. A conversation has no name: its next request brings along all that the one before
 * said, so that one is found by a hash of it. Conversations with the same words so far are one.
 */
export class ConversationTasks {
  readonly #nowMs: () => number;
  /** From the least to the most recently used. */
  readonly #tasks = new Map<string, Remembered>();

  /** @param nowMs steady clock */
  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** Null for none of the tasks; undefined where the conversation is new or was forgotten. */
  find(messages: readonly ChatMessage[]): string | null | undefined {
    const answered = messages.findLastIndex(({ role }) => role === "assistant");
    if (answered < 1) return undefined;
    const remembered = this.#tasks.get(keyOf(messages.slice(0, answered)));
    if (remembered === undefined) return undefined;
    return this.#nowMs() - remembered.atMs > timeoutMs ? undefined : remembered.task;
  }

  /** @param messages all of the request that got the task */
  remember(messages: readonly ChatMessage[], task: string | null): void {
    const key = keyOf(messages);
    this.#tasks.delete(key);
    this.#tasks.set(key, { task, atMs: this.#nowMs() });
    if (this.#tasks.size <= maxConversations) return;
    const oldest = this.#tasks.keys().next();
    if (oldest.done !== true) this.#tasks.delete(oldest.value);
  }
}

function keyOf(messages: readonly ChatMessage[]): string {
  return createHash("sha256").update(JSON.stringify(messages)).digest("base64url");
}
