import { z } from "zod";
import { isApiKey } from "./is-api-key.ts";
import type { Rate } from "./rate.ts";

/**
 * Flags and environment variables are text, a file has JSON values: each kind of option reads both.
 */
function value<T>(expected: string, parse: (input: unknown) => T | undefined) {
  return z.unknown().transform((input, context): T => {
    const parsed = parse(input);
    if (parsed !== undefined) return parsed;
    context.addIssue(`expected ${expected}, got ${JSON.stringify(input)}`);
    return z.NEVER;
  });
}

export function text() {
  return value("text that is not empty", (input) =>
    typeof input === "string" && input !== "" ? input : undefined,
  );
}

/** A JSON list, or text with commas. */
export function textList() {
  return value("a list of names, separated by commas", (input) => {
    const list = typeof input === "string" ? input.split(",").map((name) => name.trim()) : input;
    const isNames =
      Array.isArray(list) && list.every((name) => typeof name === "string" && name !== "");
    return isNames ? (list as string[]) : undefined;
  });
}

/** As `textList`, for secrets: what came is never part of the message. */
export function secretList() {
  return z.unknown().transform((input, context): string[] => {
    const list: unknown = typeof input === "string" ? input.split(",") : input;
    const keys = Array.isArray(list)
      ? list.map((key: unknown) => (typeof key === "string" ? key.trim() : ""))
      : [];
    if (keys.length > 0 && keys.every(isApiKey)) return keys;
    context.addIssue("expected keys of visible ASCII characters, separated by commas");
    return z.NEVER;
  });
}

/** Origins of web pages, or `*` for all. */
export function originList() {
  return value("origins such as https://app.example.com, separated by commas, or *", (input) => {
    const list: unknown = typeof input === "string" ? input.split(",") : input;
    if (!Array.isArray(list)) return undefined;
    const origins = list.map((origin: unknown) =>
      typeof origin === "string" ? origin.trim() : "",
    );
    const isOrigin = (text: string) =>
      text === "*" || (!text.includes("*") && URL.canParse(text) && new URL(text).origin === text);
    return origins.every(isOrigin) ? origins : undefined;
  });
}

export function hostList() {
  return value("names such as seap.example.com, separated by commas, or *", (input) => {
    const list: unknown = typeof input === "string" ? input.split(",") : input;
    if (!Array.isArray(list)) return undefined;
    const names = list.map((name: unknown) => (typeof name === "string" ? name.trim() : ""));
    return names.every((name) => /^(\*|[\w-]+(\.[\w-]+)*)$/.test(name)) ? names : undefined;
  });
}

export function httpUrl() {
  return value("a URL that begins with http:// or https://", (input) => {
    const isUrl = typeof input === "string" && /^https?:\/\//.test(input) && URL.canParse(input);
    return isUrl ? input : undefined;
  });
}

const periods: Readonly<Record<string, number>> = { s: 1000, min: 60_000, h: 3_600_000 };

/** Requests in a period, such as 60/min. */
export function rate() {
  return value("requests per s, min or h, such as 60/min", (input): Rate | undefined => {
    const match = /^([1-9]\d{0,8})\/(s|min|h)$/.exec(String(input));
    const perMs = periods[match?.[2] ?? ""];
    if (match === null || perMs === undefined) return undefined;
    return { requests: Number(match[1]), perMs };
  });
}

export function oneOf<const T extends string>(choices: readonly T[]) {
  return value(`one of ${choices.join(", ")}`, (input) =>
    choices.find((choice) => choice === input),
  );
}

export function integer(min: number, max: number = Number.MAX_SAFE_INTEGER) {
  const range = max === Number.MAX_SAFE_INTEGER ? `of at least ${min}` : `from ${min} to ${max}`;
  return value(`an integer ${range}`, (input) => {
    const number = toNumber(input);
    return Number.isSafeInteger(number) && number >= min && number <= max ? number : undefined;
  });
}

/** The largest delay that a timer takes is 2^31 - 1 ms. */
const maxSeconds = 2_147_483;

/** @param isZeroAllowed - false where 0 would mean a timer that never rests */
export function seconds({ isZeroAllowed }: { isZeroAllowed: boolean }) {
  const least = isZeroAllowed ? "at least" : "more than";
  return value(`a number of seconds, ${least} 0 and at most ${maxSeconds}`, (input) => {
    const number = toNumber(input);
    const isInRange = number <= maxSeconds && (isZeroAllowed ? number >= 0 : number > 0);
    return isInRange ? number : undefined;
  });
}

/** Milliseconds, or text with a unit. */
export function duration() {
  return value("a duration such as 100ms or 1.5s", (input) => {
    const match = /^(\d+(?:\.\d+)?) ?(ms|s|)$/.exec(String(input));
    return match === null ? undefined : Number(match[1]) * (match[2] === "s" ? 1000 : 1);
  });
}

export function atLeastZero() {
  return value("a number of at least 0", (input) => {
    const number = toNumber(input);
    return number >= 0 ? number : undefined;
  });
}

/** Neither of the ends. */
export function between(min: number, max: number) {
  return value(`a number above ${min} and below ${max}`, (input) => {
    const number = toNumber(input);
    return number > min && number < max ? number : undefined;
  });
}

/** Of a whole, both ends included. */
export function share() {
  return value("a number from 0 to 1", (input) => {
    const number = toNumber(input);
    return number >= 0 && number <= 1 ? number : undefined;
  });
}

export function yesOrNo() {
  return value("true or false", (input) => {
    if (typeof input === "boolean") return input;
    return input === "true" ? true : input === "false" ? false : undefined;
  });
}

const byteUnits: Readonly<Record<string, number>> = {
  "": 1,
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
};

/** A number of bytes, or text with a unit. */
export function byteSize(min: number) {
  return value(`a size of at least ${min} bytes, such as 8MiB or 2GiB`, (input) => {
    const match = /^(\d+(?:\.\d+)?) ?([a-z]*)$/i.exec(String(input));
    const unit = byteUnits[match?.[2]?.toLowerCase() ?? ""];
    if (match === null || unit === undefined) return undefined;
    const bytes = Math.round(Number(match[1]) * unit);
    return Number.isSafeInteger(bytes) && bytes >= min ? bytes : undefined;
  });
}

function toNumber(input: unknown): number {
  if (typeof input === "number") return input;
  return typeof input === "string" && /^-?\d+(\.\d+)?$/.test(input) ? Number(input) : NaN;
}
