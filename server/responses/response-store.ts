import { LRUCache } from "lru-cache";
import { ItemNotFoundError, ResponseNotFoundError } from "../base/errors.ts";
import type { ConversationItem } from "./items.ts";

/** A response that a later request may go on from. */
export interface StoredResponse {
  /** Who may read it; others do not learn that it exists. */
  readonly owner: string;
  /** As it was sent. */
  readonly wire: object;
  /** What it was made from: all of the conversation before it, instructions left out. */
  readonly input: readonly ConversationItem[];
  readonly output: readonly ConversationItem[];
}

interface StoredItem {
  readonly owner: string;
  readonly item: ConversationItem;
  readonly numResponses: number;
}

export interface ResponseStoreOptions {
  readonly maxResponses: number;
  /** Characters of all conversations together, about. */
  readonly maxSize: number;
}

/** The responses of this process, in memory: the least recently used are forgotten first. */
export class ResponseStore {
  readonly #responses: LRUCache<string, StoredResponse>;
  /** Of all responses, with the number of those that have them. */
  readonly #items = new Map<string, StoredItem>();

  constructor({ maxResponses, maxSize }: ResponseStoreOptions) {
    this.#responses = new LRUCache({
      max: maxResponses,
      maxSize,
      sizeCalculation: (response) => JSON.stringify(response).length,
      dispose: (response) => this.#count(response, -1),
    });
  }

  /** One that alone is larger than the store is not kept. */
  add(id: string, response: StoredResponse): void {
    this.#responses.set(id, response);
    if (this.#responses.has(id)) this.#count(response, 1);
  }

  /** @throws ItemNotFoundError */
  getItem(id: string, owner: string, param: string): ConversationItem {
    const stored = this.#items.get(id);
    if (stored?.owner !== owner) throw new ItemNotFoundError(id, param);
    return stored.item;
  }

  /** @throws ResponseNotFoundError */
  get(id: string, owner: string, param: string | null = null): StoredResponse {
    const response = this.#responses.get(id);
    if (response?.owner !== owner) throw new ResponseNotFoundError(id, param);
    return response;
  }

  /** @throws ResponseNotFoundError */
  delete(id: string, owner: string): void {
    this.get(id, owner);
    this.#responses.delete(id);
  }

  /** A response has come, or gone. */
  #count({ owner, input, output }: StoredResponse, change: 1 | -1): void {
    for (const item of [...input, ...output]) {
      const numResponses = (this.#items.get(item.id)?.numResponses ?? 0) + change;
      if (numResponses > 0) this.#items.set(item.id, { owner, item, numResponses });
      else this.#items.delete(item.id);
    }
  }
}
