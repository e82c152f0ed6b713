import type { GrammarNode } from "../../../engine/grammar/grammar.ts";
import { choice, sequence, text } from "../nodes.ts";
import type { Conversion } from "./conversion.ts";
import { type Items, itemsNode } from "./json-containers.ts";
import type { Part } from "./parts.ts";
import { countOf } from "./schema.ts";

/** Counting takes a state for each number of items and each number of those that match. */
const maxStates = 5000;

/**
 * Items some of which are of a kind.
 * @param containing - the parts that have `contains`
 * @param itemParts - what is said of the item at an index
 */
export function containingItems(
  containing: readonly Part[],
  items: Items,
  itemParts: (index: number) => readonly Part[],
  conversion: Conversion,
): GrammarNode {
  const [part, ...others] = containing;
  const { parts, rules, leaveOut, valueOf, spend } = conversion;
  for (const other of others) leaveOut(other, "contains");
  const { keywords, path, base } = part!;
  const wanted = parts.read(keywords["contains"], `${path}.contains`, base);
  const [min, max] = [
    countOf(keywords, "minContains") ?? 1,
    countOf(keywords, "maxContains") ?? Infinity,
  ];
  if (min === 0 && max === Infinity) return itemsNode(items, rules);
  const unwanted = max < Infinity ? parts.negated(keywords["contains"], path, base) : undefined;
  const [most, length] = [
    max < Infinity ? max : min,
    items.max < Infinity ? items.max : Math.max(items.min, items.prefix.length, 1),
  ];
  if (unwanted === null || (most + 1) * (length + 1) > maxStates) {
    leaveOut(part!, "contains");
    return itemsNode(items, rules);
  }
  const known = new Map<string, GrammarNode>();
  /** What follows `count` items, `found` of which are of the kind. */
  const rest = (found: number, count: number): GrammarNode => {
    const key = `${found},${count}`;
    const before = known.get(key);
    if (before !== undefined) return before;
    spend(1);
    const { rule, define } = rules.reserve();
    known.set(key, rule);
    const said = itemParts(Math.min(count, items.prefix.length));
    const comma = count === 0 ? "" : ", ";
    const next = items.max < Infinity ? count + 1 : Math.min(count + 1, length);
    const more =
      count >= items.max
        ? []
        : [
            sequence(
              comma,
              valueOf(unwanted === undefined ? said : [...said, unwanted]),
              rest(found, next),
            ),
            ...(found < max
              ? [
                  sequence(
                    comma,
                    valueOf([...said, wanted]),
                    rest(max < Infinity ? found + 1 : Math.min(found + 1, most), next),
                  ),
                ]
              : []),
          ];
    const isEnd = count >= items.min && found >= min;
    define(choice([...more, ...(isEnd ? [text("")] : [])]));
    return rule;
  };
  return rest(0, 0);
}
