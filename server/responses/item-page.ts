import { z } from "zod";
import { InvalidRequestError, quote } from "../base/errors.ts";
import type { ConversationItem } from "./items.ts";

/** As the API has it: the last items first, unless the client wants it otherwise. */
export const inputItemsQuery = z.object({
  limit: z.coerce.number().int().min(1).max(100).default(20),
  order: z.enum(["asc", "desc"]).default("desc"),
  after: z.string().optional().describe("Id of the last item of the page before."),
});

/** @throws InvalidRequestError when `after` is none of the items. */
export function toItemPage(
  items: readonly ConversationItem[],
  { limit, order, after }: z.output<typeof inputItemsQuery>,
): object {
  const ordered = order === "asc" ? items : items.toReversed();
  const last = after === undefined ? -1 : ordered.findIndex(({ id }) => id === after);
  if (after !== undefined && last < 0) {
    throw new InvalidRequestError(
      `after: expected the id of an item (got ${quote(after)})`,
      "after",
    );
  }
  const data = ordered.slice(last + 1, last + 1 + limit);
  return {
    object: "list",
    data,
    first_id: data[0]?.id ?? null,
    last_id: data.at(-1)?.id ?? null,
    has_more: last + 1 + limit < ordered.length,
  };
}
