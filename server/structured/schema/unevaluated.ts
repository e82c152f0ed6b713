import type { Part } from "./parts.ts";

/**
 * The parts of which it is not known here what they call evaluated: all but the one that has brought in all others, and
 * that one too where something must not hold, since what that evaluates does not count.
 */
export function unsureOf(
  keyword: "unevaluatedItems" | "unevaluatedProperties",
  parts: readonly Part[],
  root: Part | undefined,
): Part[] {
  const hasNegation = parts.some(({ keywords }) => keywords["not"] !== undefined);
  return parts.filter(
    (part) => part.keywords[keyword] !== undefined && (part !== root || hasNegation),
  );
}
