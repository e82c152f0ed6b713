import type { Part } from "./parts.ts";
import { type JsonType, keywordsByType, typesOf, unenforcedByType } from "./schema.ts";

/** The types that all parts allow that name some; null where none does. */
export function commonTypes(parts: readonly Part[]): readonly JsonType[] | null {
  let common: readonly JsonType[] | null = null;
  for (const { own } of parts) {
    const types = typesOf(own);
    if (types !== null) common = common === null ? types : inBoth(common, types);
  }
  if (common === null) return null;
  const distinct = [...new Set(common)];
  // Integers are numbers: a second alternative would add nothing.
  return distinct.filter((type) => type !== "integer" || !distinct.includes("number"));
}

/**
 * As `commonTypes`; where no type is named, those that the keywords are about: who writes `properties` means an object.
 */
export function typesOfAll(parts: readonly Part[]): readonly JsonType[] | null {
  const common = commonTypes(parts);
  if (common !== null) return common;
  const about = (Object.keys(keywordsByType) as JsonType[]).filter(
    (type) =>
      type !== "integer" &&
      parts.some((part) =>
        [...keywordsByType[type], ...(unenforcedByType[type] ?? [])].some(
          (keyword) => part.keywords[keyword] !== undefined,
        ),
      ),
  );
  return about.length === 0 ? null : about;
}

function inBoth(a: readonly JsonType[], b: readonly JsonType[]): JsonType[] {
  return a.flatMap((type): JsonType[] => {
    if (b.includes(type)) return [type];
    if (type === "number" && b.includes("integer")) return ["integer"];
    return type === "integer" && b.includes("number") ? [type] : [];
  });
}
