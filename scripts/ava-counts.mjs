import { stripVTControlCharacters } from "node:util";

const failures = [
  "tests? failed",
  "hooks? failed",
  "uncaught exceptions?",
  "unhandled rejections?",
  "tests? remained pending after a timeout",
];

/**
 * Counts from the text of ava's default reporter. Its summary leaves the passed tests out when any
 * failed, so they are then counted by their lines.
 *
 * @returns `{ passed, failed }`; `failed` is 0 exactly when the run `succeeded`.
 */
export function parseAvaCounts(output, succeeded) {
  const lines = stripVTControlCharacters(output).split("\n");
  const inSummary = (what) => {
    const line = lines.findLast((text) => new RegExp(`^ {2}\\d+ (${what})$`).test(text));
    return line === undefined ? undefined : Number.parseInt(line, 10);
  };
  const passed =
    inSummary("tests? passed") ??
    lines.filter((line) => /^ {2}[✔√] (?!\[expected fail\])/.test(line)).length;
  if (succeeded) return { passed, failed: 0 };
  const failed = failures.reduce((sum, what) => sum + (inSummary(what) ?? 0), 0);
  // A worker that died, or a file without tests, is in none of the summary's lines.
  return { passed, failed: Math.max(failed, 1) };
}

/** Counts from the last line of the clients' run; a run that ended before it has one failure. */
export function parseClientCounts(output) {
  const last = output.trimEnd().split("\n").at(-1);
  const [, passed, failed] = /^(\d+) passed, (\d+) failed$/.exec(last) ?? [null, 0, 1];
  return { passed: Number(passed), failed: Number(failed) };
}
