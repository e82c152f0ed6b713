import type { GrammarNode } from "../../../engine/grammar/grammar.ts";
import { GrammarTextError } from "../grammar-text-error.ts";
import { characters, choice, digits, optional, sequence, text } from "../nodes.ts";

export interface NumberRange {
  /** -Infinity for none */
  readonly min: number;
  readonly isMinExclusive: boolean;
  /** Infinity for none */
  readonly max: number;
  readonly isMaxExclusive: boolean;
}

/** Larger integers are not exact, and none of them is needed. */
const largest = 999_999_999_999_999;

/** More decimals than a bound has, so that there is a number beside each bound. */
const extraDecimals = 2;
const maxDecimals = 10;
const anyDecimals = optional(sequence(".", digits(1, maxDecimals)));

/** The integers of a range, as JSON writes them. */
export function integerRange(range: NumberRange): GrammarNode {
  const min = Math.max(-largest, Math.ceil(range.min) + (isAt(range, "min") ? 1 : 0));
  const max = Math.min(largest, Math.floor(range.max) - (isAt(range, "max") ? 1 : 0));
  const alternatives = [
    ...(max >= 0 ? naturals(Math.max(0, min), max) : []),
    ...(min < 0 ? naturals(Math.max(1, -max), -min).map((node) => sequence("-", node)) : []),
  ];
  return choice(alternatives);
}

function isAt(range: NumberRange, bound: "min" | "max"): boolean {
  const isExclusive = bound === "min" ? range.isMinExclusive : range.isMaxExclusive;
  return isExclusive && Number.isInteger(range[bound]);
}

/**
 * The numbers of a range, as decimals without an exponent.
 * @throws GrammarTextError when a bound has too many decimals
 */
export function decimalRange({
  min,
  isMinExclusive,
  max,
  isMaxExclusive,
}: NumberRange): GrammarNode {
  const positive =
    max < 0
      ? []
      : positiveDecimals({
          min: Math.max(0, min),
          isMinExclusive: min >= 0 && isMinExclusive,
          max,
          isMaxExclusive,
        });
  const negative =
    min >= 0
      ? []
      : positiveDecimals({
          min: Math.max(0, -max),
          isMinExclusive: max <= 0 && isMaxExclusive,
          max: -min,
          isMaxExclusive: isMinExclusive,
        });
  return choice([...positive, ...negative.map((node) => sequence("-", node))]);
}

/** @param range of which no bound is negative */
function positiveDecimals(range: NumberRange): GrammarNode[] {
  const { min, isMinExclusive, isMaxExclusive } = range;
  const max = Math.min(range.max, largest);
  if (min > max) return [];
  const decimals = Math.max(decimalsOf(min), decimalsOf(max)) + extraDecimals;
  const scale = 10n ** BigInt(decimals);
  const low = scaled(min, decimals) + (isMinExclusive ? 1n : 0n);
  const high = scaled(max, decimals) - (isMaxExclusive ? 1n : 0n);
  if (low > high) return [];
  const [lowWhole, highWhole] = [low / scale, high / scale];
  const fraction = (whole: bigint, from: bigint, to: bigint) =>
    decimalsBetween(String(whole), from, to, decimals);
  if (lowWhole === highWhole) return fraction(lowWhole, low % scale, high % scale);
  const between = { from: Number(lowWhole) + 1, to: Number(highWhole) - 1 };
  return [
    ...fraction(lowWhole, low % scale, scale - 1n),
    ...(between.from <= between.to
      ? naturals(between.from, between.to).map((node) => sequence(node, anyDecimals))
      : []),
    ...fraction(highWhole, 0n, high % scale),
  ];
}

/** Numbers with one whole part, whose decimals lie between two numbers of so many digits. */
function decimalsBetween(whole: string, from: bigint, to: bigint, length: number): GrammarNode[] {
  const isTop = to === 10n ** BigInt(length) - 1n;
  if (from === 0n && isTop) return [sequence(whole, anyDecimals)];
  const decimals: GrammarNode[] = [];
  for (let count = 1; count <= length; count++) {
    const unit = 10n ** BigInt(length - count);
    const [low, high] = [(from + unit - 1n) / unit, to / unit];
    if (low <= high) decimals.push(sameLength(padded(low, count), padded(high, count)));
  }
  return [
    ...(from === 0n ? [text(whole)] : []),
    ...(decimals.length > 0 ? [sequence(`${whole}.`, choice(decimals))] : []),
  ];
}

/** Natural numbers without leading zeros. */
function naturals(min: number, max: number): GrammarNode[] {
  const alternatives: GrammarNode[] = [];
  for (let length = String(min).length; length <= String(max).length; length++) {
    const low = Math.max(min, length === 1 ? 0 : 10 ** (length - 1));
    const high = Math.min(max, 10 ** length - 1);
    if (low <= high) alternatives.push(sameLength(String(low), String(high)));
  }
  return alternatives;
}

/** Digits between two texts of the same length. */
function sameLength(low: string, high: string): GrammarNode {
  if (low === "") return text("");
  const rest = low.length - 1;
  const [zeros, nines] = ["0".repeat(rest), "9".repeat(rest)];
  const [first, last] = [Number(low[0]), Number(high[0])];
  if (first === last) return sequence(low[0]!, sameLength(low.slice(1), high.slice(1)));
  const isLowFull = low.slice(1) === zeros;
  const isHighFull = high.slice(1) === nines;
  const [from, to] = [isLowFull ? first : first + 1, isHighFull ? last : last - 1];
  return choice([
    ...(isLowFull ? [] : [sequence(low[0]!, sameLength(low.slice(1), nines))]),
    ...(from <= to ? [sequence(characters([[0x30 + from, 0x30 + to]]), digits(rest))] : []),
    ...(isHighFull ? [] : [sequence(high[0]!, sameLength(zeros, high.slice(1)))]),
  ]);
}

function padded(value: bigint, length: number): string {
  return String(value).padStart(length, "0");
}

function decimalsOf(value: number): number {
  const decimals = value.toFixed(maxDecimals).replace(/0+$/, "").split(".")[1]?.length ?? 0;
  if (Number(value.toFixed(decimals)) === value) return decimals;
  throw new GrammarTextError(`a bound may have up to ${maxDecimals} decimals (got ${value})`);
}

function scaled(value: number, decimals: number): bigint {
  return BigInt(value.toFixed(decimals).replace(".", ""));
}
