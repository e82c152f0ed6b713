import test from "ava";
import { ItemNotFoundError } from "../../../server/base/errors.ts";
import { type ConversationItem, toItems } from "../../../server/responses/items.ts";
import { ResponseStore } from "../../../server/responses/response-store.ts";

function item(text: string): ConversationItem {
  return toItems(text, () => t404())[0]!;
}

function t404(): never {
  throw new Error("not asked for");
}

test("an item is there as long as a response has it", (t) => {
  const store = new ResponseStore({ maxResponses: 2, maxSize: 10_000 });
  const owner = "key a";
  const [one, two] = [item("one"), item("two")];
  const add = (id: string, input: readonly ConversationItem[]) =>
    store.add(id, { owner, wire: {}, input, output: [] });
  const has = ({ id }: ConversationItem) => {
    try {
      return store.getItem(id, owner, "input[0].id").id === id;
    } catch (error) {
      if (error instanceof ItemNotFoundError) return false;
      throw error;
    }
  };
  add("a", [one]);
  add("b", [one, two]);
  store.delete("a", owner);
  t.deepEqual([has(one), has(two)], [true, true]);
  add("c", [two]);
  add("d", []);
  t.deepEqual([has(one), has(two)], [false, true]);
  add("too large", [{ ...item("x".repeat(20_000)) }]);
  store.delete("c", owner);
  t.deepEqual([has(one), has(two)], [false, false]);
});
