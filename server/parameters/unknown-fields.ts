import type { Log } from "../base/log.ts";

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
      if (isKnown(key) || !this.#isNew(`field ${field}`)) continue;
      log.warn("ignoring an unknown request field, now and later", { field });
    }
  }

  /** Tools of kinds that are left out; likewise once. */
  noteTools(kinds: readonly string[], log: Log): void {
    for (const kind of kinds) {
      if (this.#isNew(`tool ${kind}`))
        log.warn("leaving out tools of a kind, now and later", { kind });
    }
  }

  #isNew(name: string): boolean {
    if (this.#seen.has(name) || this.#seen.size >= maxRemembered) return false;
    this.#seen.add(name);
    return true;
  }
}
