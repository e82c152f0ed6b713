/** Length of the longest end of the text that the tag begins with, and is longer than. */
export function startedLength(text: string, tag: string): number {
  let length = Math.min(text.length, tag.length - 1);
  while (!text.endsWith(tag.slice(0, length))) length--;
  return length;
}
