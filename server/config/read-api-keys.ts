import { readFileSync } from "node:fs";
import { ConfigError } from "../base/config-error.ts";
import { isApiKey } from "./is-api-key.ts";

/**
 * All keys of the configuration: those given, and those of a file with one a line, where empty lines and lines that
 * begin with # are left out.
 * @throws ConfigError when the file cannot be read, has a line that is no key, or has no key at all.
 */
export function readApiKeys(given: readonly string[], file: string | undefined): string[] {
  return [...new Set([...given, ...(file === undefined ? [] : readKeyFile(file))])];
}

function readKeyFile(file: string): string[] {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    throw new ConfigError(`--api-key-file: ${(error as Error).message}`, { cause: error });
  }
  const keys: string[] = [];
  for (const [index, line] of text
    .replace(/^\uFEFF/, "")
    .split("\n")
    .entries()) {
    const key = line.trim();
    if (key === "" || key.startsWith("#")) continue;
    if (!isApiKey(key)) {
      const expected = "expected a key of visible ASCII characters without spaces";
      throw new ConfigError(`--api-key-file: ${file} line ${index + 1}: ${expected}.`);
    }
    keys.push(key);
  }
  if (keys.length === 0) {
    // Serving everybody would be the opposite of what was meant.
    throw new ConfigError(`--api-key-file: ${file}: expected at least one key, one a line.`);
  }
  return keys;
}
