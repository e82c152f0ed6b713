import type { Log } from "../log.ts";

/** Bounds what clients can make the server remember. */
const maxRemembered = 1000;

/** Unknown request fields are ignored, as OpenAI clients expect; the operator learns of each name once. */
export class UnknownFields {
  readonly #seen = new Set<string>();

  /** @param log - of the request */
  note(
    body: Readonly<Record<string, unknown>>,
    isKnown: (field: string) => boolean,
    log: Log,
  ): void {
    for (const key of Object.keys(body)) {
      const field = key.slice(0, 100);
      if (isKnown(key) || this.#seen.has(field) || this.#seen.size >= maxRemembered) continue;
      this.#seen.add(field);
      log.warn("ignoring an unknown request field, now and later", { field });
    }
  }
}
