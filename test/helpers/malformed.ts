import { CounterRandom } from "../../engine/sequence/random.ts";

type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };

const oddValues: readonly Json[] = [
  null,
  true,
  "",
  "x".repeat(5000),
  "\ud800",
  "\u0000<|im_end|>",
  0,
  -1,
  0.5,
  2 ** 31,
  2 ** 53,
  -1e308,
  [],
  {},
  [[]],
  [null],
  ["a", 1],
  { type: "text" },
  { role: "user", content: null },
  Array.from({ length: 300 }, (_, i) => i),
];

const oddKeys = ["__proto__", "constructor", "toString", "", "a.b", "0", "length"];

/** Spoils request bodies, the same way for the same seed. */
export class Spoiler {
  readonly #random: CounterRandom;

  constructor(seed: number) {
    this.#random = new CounterRandom(seed);
  }

  /** Below `limit`. */
  below(limit: number): number {
    return Math.floor(this.#random.next() * limit);
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!;
  }

  /** Some changes to the values, and at times to the text that spells them. */
  spoil(body: object): Buffer {
    let value = body as Json;
    for (let i = this.below(3); i >= 0; i--) value = this.#spoilValue(value);
    const text = JSON.stringify(value);
    return this.below(4) === 0 ? this.#spoilText(text) : Buffer.from(text);
  }

  #spoilValue(value: Json): Json {
    if (typeof value !== "object" || value === null) return this.pick(oddValues);
    const entries = Object.entries(value as Record<string, Json>);
    if (entries.length === 0 || this.below(6) === 0) return this.pick(oddValues);
    const place = this.below(entries.length);
    const [key, old] = entries[place]!;
    switch (this.below(4)) {
      case 0:
        entries.splice(place, 1);
        break;
      case 1:
        entries.push([this.pick(oddKeys), old]);
        break;
      default:
        entries[place] = [key, this.#spoilValue(old)];
    }
    return Array.isArray(value) ? entries.map(([, item]) => item) : fromEntries(entries);
  }

  #spoilText(text: string): Buffer {
    const bytes = Buffer.from(text);
    const place = this.below(bytes.length);
    switch (this.below(6)) {
      case 0:
        return bytes.subarray(0, place);
      case 1:
        bytes[place] = this.below(256);
        return bytes;
      case 2:
        return Buffer.from("[".repeat(20_000));
      case 3:
        return Buffer.from(text.replace(/\d+/, "1e999"));
      case 4:
        return Buffer.from(text.replace(/"\w+":/, (key) => `${key}1,${key}`));
      default:
        return Buffer.concat([bytes, bytes]);
    }
  }
}

/** As `Object.fromEntries`, but a key `__proto__` is one among others. */
function fromEntries(entries: readonly (readonly [string, Json])[]): Json {
  const object: Record<string, Json> = {};
  for (const [key, value] of entries) {
    Object.defineProperty(object, key, { value, enumerable: true, configurable: true });
  }
  return object;
}
