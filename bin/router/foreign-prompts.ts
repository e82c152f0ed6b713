import { generator } from "../../router/k-means.ts";
import type { Conversation } from "./routed-prompt.ts";

const numPrompts = 200;

/** Characters and syllables without any sense, the same every time. */
export function randomTexts(): Conversation[] {
  const random = generator(7);
  const below = (limit: number): number => Math.floor(random() * limit);
  const word = (): string =>
    Array.from({ length: 2 + below(8) }, () => String.fromCharCode(97 + below(26))).join("");
  const noise = (): string =>
    Array.from({ length: 8 + below(60) }, () => String.fromCharCode(33 + below(94))).join("");
  return Array.from({ length: numPrompts }, (_, i) => {
    const content = i % 2 === 0 ? noise() : Array.from({ length: 3 + below(20) }, word).join(" ");
    return [{ role: "user", content }];
  });
}

/** Prompts of a single word each, out of other prompts. */
export function singleWords(conversations: readonly Conversation[]): Conversation[] {
  const words = conversations.flatMap(
    (messages) => messages.at(-1)?.content.match(/\p{L}{3,}/gu) ?? [],
  );
  return [...new Set(words)].slice(0, numPrompts).map((content) => [{ role: "user", content }]);
}
