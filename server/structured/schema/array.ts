import type { GrammarNode } from "../../../engine/grammar/grammar.ts";
import { jsonText, maxCount } from "../json-text.ts";
import { choice, isNothing, sequence, text } from "../nodes.ts";
import { containingItems } from "./containing-items.ts";
import type { Conversion } from "./conversion.ts";
import { itemsNode } from "./json-containers.ts";
import type { Part } from "./parts.ts";
import { countOf, listOf } from "./schema.ts";
import { unsureOf } from "./unevaluated.ts";
import { jsonKey } from "./value-check.ts";

/** Of items no two of which are the same: each set of those that are there is a rule. */
const maxDistinct = 8;

/** @param root - the part that has brought in all others, if one has */
export function arrayNode(
  parts: readonly Part[],
  root: Part | undefined,
  conversion: Conversion,
): GrammarNode {
  const [first] = parts;
  const min = Math.max(...parts.map(({ own }) => countOf(own, "minItems") ?? 0));
  let max = Math.min(...parts.map(({ own }) => countOf(own, "maxItems") ?? Infinity));
  const numPrefix = Math.max(...parts.map(({ own }) => listOf(own, "prefixItems")?.length ?? 0));
  conversion.spend(numPrefix * parts.length);
  const prefix: GrammarNode[] = [];
  for (let i = 0; i < Math.min(numPrefix, max); i++) {
    const item = conversion.valueOf(itemParts(parts, root, i, conversion));
    if (isNothing(item)) max = i;
    else prefix.push(item);
  }
  const others = itemParts(parts, root, numPrefix, conversion);
  const item = max > prefix.length ? conversion.valueOf(others) : text("");
  if (isNothing(item)) max = prefix.length;
  if (min > max) {
    return conversion.contradiction(first!, "minItems is above the largest number of items");
  }
  if (max > maxCount && max < Infinity) max = Math.max(min, maxCount);
  for (const part of unsureOf("unevaluatedItems", parts, root)) {
    conversion.leaveOut(part, "unevaluatedItems");
  }
  const unique = parts.find(({ own }) => own["uniqueItems"] === true);
  if (unique !== undefined && max > 1) {
    const values = prefix.length === 0 ? conversion.listOf(others) : null;
    if (values !== null && new Set(values.map(jsonKey)).size <= maxDistinct) {
      return distinctItems(values, min, max, conversion);
    }
    conversion.leaveOut(unique, "uniqueItems");
  }
  const items = { prefix, item, min, max };
  const containing = parts.filter(({ keywords }) => keywords["contains"] !== undefined);
  const content =
    containing.length === 0
      ? itemsNode(items, conversion.rules)
      : containingItems(
          containing,
          items,
          (i) => itemParts(parts, root, i, conversion),
          conversion,
        );
  return sequence("[", content, "]");
}

/** What is said of the item at an index. */
function itemParts(
  parts: readonly Part[],
  root: Part | undefined,
  index: number,
  conversion: Conversion,
): Part[] {
  const read = (part: Part, keyword: string, schema: unknown, place: string) =>
    conversion.parts.read(schema, `${part.path}.${keyword}${place}`, part.base);
  const said = parts.flatMap((part) => {
    const { prefixItems = [], items } = part.own as { prefixItems?: unknown[]; items?: unknown };
    if (index < prefixItems.length) {
      return [read(part, "prefixItems", prefixItems[index], `[${index}]`)];
    }
    return items === undefined ? [] : [read(part, "items", items, "")];
  });
  if (said.length > 0) return said;
  return parts.flatMap((part) => {
    const { unevaluatedItems } = part.keywords;
    return unevaluatedItems === undefined || part !== root
      ? []
      : [read(part, "unevaluatedItems", unevaluatedItems, "")];
  });
}

/** Some of a few values, each at most once. */
function distinctItems(
  values: readonly unknown[],
  min: number,
  max: number,
  { rules, spend }: Conversion,
): GrammarNode {
  const texts = [...new Map(values.map((value) => [jsonKey(value), jsonText(value)])).values()];
  const known = new Map<number, GrammarNode>();
  /** @param used - bit `i` is set where text `i` is there already */
  const rest = (used: number, count: number): GrammarNode => {
    const before = known.get(used);
    if (before !== undefined) return before;
    spend(texts.length);
    const { rule, define } = rules.reserve();
    known.set(used, rule);
    const more =
      count >= max
        ? []
        : texts.map((item, i) =>
            (used & (1 << i)) === 0
              ? [sequence(`${count === 0 ? "" : ", "}${item}`, rest(used | (1 << i), count + 1))]
              : [],
          );
    define(choice([...more.flat(), ...(count >= min ? [text("")] : [])]));
    return rule;
  };
  return sequence("[", rest(0, 0), "]");
}
