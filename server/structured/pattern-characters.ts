import { allCharacters, difference, union } from "./code-points.ts";
import type { CodePoints } from "../../engine/grammar/grammar.ts";
import type { PatternReader } from "./pattern-reader.ts";

const decimalDigits: CodePoints = [[0x30, 0x39]];
const wordCharacters: CodePoints = [
  [0x30, 0x39],
  [0x41, 0x5a],
  [0x5f, 0x5f],
  [0x61, 0x7a],
];
const spaces: CodePoints = [
  [0x09, 0x0d],
  [0x20, 0x20],
  [0xa0, 0xa0],
  [0x1680, 0x1680],
  [0x2000, 0x200a],
  [0x2028, 0x2029],
  [0x202f, 0x202f],
  [0x205f, 0x205f],
  [0x3000, 0x3000],
  [0xfeff, 0xfeff],
];
const lineEnds: CodePoints = [
  [0x0a, 0x0a],
  [0x0d, 0x0d],
  [0x2028, 0x2029],
];
const shorthands: Readonly<Record<string, CodePoints>> = {
  d: decimalDigits,
  D: difference(allCharacters, decimalDigits),
  w: wordCharacters,
  W: difference(allCharacters, wordCharacters),
  s: spaces,
  S: difference(allCharacters, spaces),
};
const controls: Readonly<Record<string, number>> = { t: 9, n: 10, v: 11, f: 12, r: 13, "0": 0 };

/** What `.` stands for. */
export const anyInLine: CodePoints = difference(allCharacters, lineEnds);

/** After `[`. */
export function readSet(reader: PatternReader): CodePoints {
  const isNegated = reader.take("^");
  const sets: CodePoints[] = [];
  while (!reader.take("]")) {
    const first = readMember(reader);
    const isRange = reader.peek() === "-" && reader.characters[reader.position + 1] !== "]";
    if (!isRange) {
      sets.push(first);
      continue;
    }
    reader.next();
    const last = readMember(reader);
    const [from, to] = [codePointOf(first), codePointOf(last)];
    if (from === undefined || to === undefined || from > to) reader.mistake("a range that is none");
    else sets.push(difference([[from, to]], [[0xd800, 0xdfff]]));
  }
  const set = union(sets);
  return isNegated ? difference(allCharacters, set) : set;
}

function readMember(reader: PatternReader): CodePoints {
  const character = reader.next();
  if (character !== "\\") return single(character.codePointAt(0)!);
  if (reader.take("b")) return single(8);
  if (reader.take("-")) return single(0x2d);
  return readEscape(reader);
}

/** After `\`. */
export function readEscape(reader: PatternReader): CodePoints {
  const character = reader.next();
  const set = shorthands[character];
  if (set !== undefined) return set;
  const control = controls[character];
  if (control !== undefined) return single(control);
  if (character === "x") return single(readHex(reader, 2));
  if (character === "u") {
    if (!reader.take("{")) return single(readHex(reader, 4));
    let text = "";
    for (let next = reader.next(); next !== "}"; next = reader.next()) text += next;
    const value = Number.parseInt(text, 16);
    return value <= 0x10ffff ? single(value) : reader.fail(`\\u{${text}}`);
  }
  if (/[A-Za-z0-9]/.test(character)) reader.fail(`\\${character}`);
  return single(character.codePointAt(0)!);
}

function readHex(reader: PatternReader, length: number): number {
  const text = Array.from({ length }, () => reader.next()).join("");
  return /^[0-9a-fA-F]+$/.test(text)
    ? Number.parseInt(text, 16)
    : reader.fail(`\\x or \\u ${text}`);
}

export function single(codePoint: number): CodePoints {
  return difference([[codePoint, codePoint]], [[0xd800, 0xdfff]]);
}

function codePointOf(set: CodePoints): number | undefined {
  const [range, ...more] = set;
  return range !== undefined && more.length === 0 && range[0] === range[1] ? range[0] : undefined;
}
