/**
 * How a call stands in a text: the convention of Hermes and Qwen models, with exactly these blanks and line ends,
 * which the grammar enforces.
 */
export const callStart = "<tool_call>";
export const callEnd = "}\n</tool_call>";

/** What comes between `callStart` and the arguments. */
export function callHead(name: string): string {
  return `\n{"name": ${JSON.stringify(name)}, "arguments": `;
}

const headPattern = /^\n\{"name": "([^"]*)", "arguments": /;

/** The name in a `callHead`, and what follows it; null while it is not complete. */
export function readCallHead(
  text: string,
): { readonly name: string; readonly rest: string } | null {
  const match = headPattern.exec(text);
  return match === null ? null : { name: match[1]!, rest: text.slice(match[0].length) };
}

/** @param args JSON text */
export function callText(name: string, args: string): string {
  return `${callStart}${callHead(name)}${args}${callEnd}`;
}
