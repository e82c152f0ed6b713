import type { Response } from "express";
import { LRUCache } from "lru-cache";
import type { Log } from "../base/log.ts";

/** Of the header; what is beyond is counted. */
const maxHeaderLength = 1000;

/** Bounds what clients can make the server remember. */
const maxRemembered = 1000;

/** What clients have described and does not get enforced: the operator learns of each list of places once. */
export class UnenforcedParts {
  readonly #seen = new LRUCache<string, true>({ max: maxRemembered });

  /** @param log - of the request */
  note(paths: readonly string[], log: Log): void {
    if (paths.length === 0) return;
    const places = headerOf(paths);
    if (this.#seen.has(places)) return;
    this.#seen.set(places, true);
    log.warn("parts of a schema are not enforced, now and later", { places });
  }
}

export function setUnenforcedHeader(res: Response, paths: readonly string[]): void {
  if (paths.length > 0) res.set("x-seap-unenforced", headerOf(paths));
}

/** Names of properties may have any characters; a header may not. */
function headerOf(paths: readonly string[]): string {
  let header = "";
  for (const [i, path] of paths.entries()) {
    const escaped = path.replaceAll(
      /[^\x20-\x2b\x2d-\x7e]/g,
      (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
    );
    if (header.length + escaped.length > maxHeaderLength) {
      return `${header}${i === 0 ? "" : ", "}and ${paths.length - i} more`;
    }
    header += (i === 0 ? "" : ", ") + escaped;
  }
  return header;
}
