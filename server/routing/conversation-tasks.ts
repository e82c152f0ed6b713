import { createHash, type Hash } from "node:crypto";
import { LRUCache } from "lru-cache";
import type { ChatMessage } from "../text/codec.ts";

/** About 1 MiB. */
const maxConversations = 10_000;
/** A conversation that nobody went on with for so long is forgotten. */
const timeoutMs = 60 * 60 * 1000;

/**
 * The tasks of conversations. A conversation has no name: its next request brings along all that the one before
 * said, so that one is found by a hash of it. Conversations with the same words so far are one.
 */
export class ConversationTasks {
  readonly #tasks: LRUCache<string, { readonly task: string | null }>;
  /** Of conversations that were looked for: what was hashed of them, which need not be hashed again. */
  readonly #begun = new WeakMap<readonly ChatMessage[], BegunKey>();

  /** @param nowMs steady clock */
  constructor(nowMs: () => number) {
    this.#tasks = new LRUCache({
      max: maxConversations,
      ttl: timeoutMs,
      ttlResolution: 0,
      // To lru-cache an entry of time 0 has none, and lives for ever.
      perf: { now: () => 1 + nowMs() },
    });
  }

  /** Null for none of the tasks; undefined where the conversation is new or was forgotten. */
  find(messages: readonly ChatMessage[]): string | null | undefined {
    const answered = messages.findLastIndex(({ role }) => role === "assistant");
    if (answered < 1) return undefined;
    const hash = hashOf(messages.slice(0, answered));
    this.#begun.set(messages, { hash, numMessages: answered });
    return this.#tasks.peek(digestOf(hash))?.task;
  }

  /** @param messages all of the request that got the task, the same object that was looked for */
  remember(messages: readonly ChatMessage[], task: string | null): void {
    const { hash, numMessages } = this.#begun.get(messages) ?? { hash: hashOf([]), numMessages: 0 };
    const key = digestOf(hashOf(messages.slice(numMessages), hash));
    this.#tasks.set(key, { task });
  }
}

/** The hash of a conversation's beginning. */
interface BegunKey {
  readonly hash: Hash;
  readonly numMessages: number;
}

/** @param before - hash of what comes before, which is left as it is */
function hashOf(messages: readonly ChatMessage[], before = createHash("sha256")): Hash {
  const hash = before.copy();
  for (const { content, ...rest } of messages) {
    // What has its length before it cannot be taken for something else.
    const head = JSON.stringify(rest);
    hash.update(`${head.length} ${content.length} ${head}`).update(content);
  }
  return hash;
}

function digestOf(hash: Hash): string {
  return hash.copy().digest("base64url");
}
