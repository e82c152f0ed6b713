import { createHash, timingSafeEqual } from "node:crypto";
import { isIPv6 } from "node:net";
import { InvalidApiKeyError } from "../base/access-errors.ts";

/**
 * Whom a request is from, for limits: a key's place in the list, or without keys an address. Never the key.
 */
export type ClientId = string;

/** The keys that clients may use; without any, everybody may. */
export class ApiKeys {
  readonly #digests: readonly Buffer[];

  constructor(keys: readonly string[]) {
    this.#digests = keys.map(digestOf);
  }

  get areRequired(): boolean {
    return this.#digests.length > 0;
  }

  /**
   * @param authorization - value of the header
   * @param address - of the connection
   * @throws InvalidApiKeyError where keys are required and the header has none of them.
   */
  clientOf(authorization: string | undefined, address: string | undefined): ClientId {
    return this.clientWithKey(/^Bearer +(\S+) *$/i.exec(authorization ?? "")?.[1], address);
  }

  /** @throws InvalidApiKeyError where keys are required and this is none of them. */
  clientWithKey(key: string | undefined, address: string | undefined): ClientId {
    if (!this.areRequired) return `address ${networkOf(address ?? "")}`;
    if (key === undefined) throw new InvalidApiKeyError(true);
    const place = this.#find(key);
    if (place < 0) throw new InvalidApiKeyError(false);
    return `key ${place}`;
  }

  /** Takes as long whichever key it is, or none: digests are compared in constant time, and all of them. */
  #find(key: string): number {
    const digest = digestOf(key);
    let found = -1;
    for (const [place, known] of this.#digests.entries()) {
      if (timingSafeEqual(digest, known)) found = place;
    }
    return found;
  }
}

function digestOf(key: string): Buffer {
  return createHash("sha256").update(key).digest();
}

/** Who has one IPv6 address usually has the whole /64: it counts as one. */
function networkOf(address: string): string {
  const plain = address.replace(/^::ffff:(?=\d+\.)/i, "").replace(/%.*$/, "");
  if (!isIPv6(plain)) return plain;
  const [head = "", tail = ""] = plain.toLowerCase().split("::");
  const groups = (text: string) => text.split(":").filter((group) => group !== "");
  const zeros = Math.max(0, 8 - groups(head).length - groups(tail).length);
  const all = [...groups(head), ...Array.from({ length: zeros }, () => "0"), ...groups(tail)];
  return `${all.slice(0, 4).join(":")}::/64`;
}
