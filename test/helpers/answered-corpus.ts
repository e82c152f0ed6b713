import { writeFileSync } from "node:fs";

const words = "one two three red blue green stone river cloud tree house road light sound".split(
  " ",
);

/** Conversations with answers, the same every time: about 300 tokens of the tiny model each. */
export function writeAnsweredCorpus(path: string, numRows = 80): void {
  const sentence = (row: number, length: number): string =>
    Array.from({ length }, (_, i) => words[(row * 7 + i * i + i * row) % words.length]).join(" ");
  const rows = Array.from({ length: numRows }, (_, row) => ({
    prompt: `${row}: ${sentence(row, 10)}?`,
    response: `${sentence(row + 3, 40)}.`,
  }));
  writeFileSync(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
}
