import { isIP } from "node:net";
import type { RequestHandler } from "express";
import { HostNotAllowedError } from "../base/access-errors.ts";

/**
 * Names under which a server without keys answers. A page of another site can let its own name point to this machine
 * and is then, for the browser, a page of the server's; what gives it away is the name. Addresses cannot be made to
 * point elsewhere.
 */
export class AllowedHosts {
  readonly #names: ReadonlySet<string>;

  /** @param names - the one that is listened on, and those that the operator allows; `*` stands for all */
  constructor(names: readonly string[]) {
    this.#names = new Set(["localhost", ...names.map((name) => name.toLowerCase())]);
  }

  /** @param host - of the header; browsers always send one */
  has(host: string | undefined): boolean {
    if (host === undefined || this.#names.has("*")) return true;
    const name = nameOf(host);
    return isIP(name) !== 0 || name.endsWith(".localhost") || this.#names.has(name);
  }
}

/** Refuses requests under other names. */
export function guardHost(hosts: AllowedHosts): RequestHandler {
  return (req, _res, next) => {
    if (!hosts.has(req.headers.host)) throw new HostNotAllowedError(req.headers.host ?? "");
    next();
  };
}

/** Without port, and an IPv6 address without its brackets. */
function nameOf(host: string): string {
  const name = host.replace(/:\d*$/, "").toLowerCase();
  return name.replace(/^\[(.*)\]$/, "$1").replace(/\.$/, "");
}
