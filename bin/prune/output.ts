/** What `--json` prints. */
export function jsonText(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}

/** 0.1234 as `12.3 %`. */
export function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}

/** With its sign. */
export function signed(text: string): string {
  return text.startsWith("-") ? text : `+${text}`;
}
