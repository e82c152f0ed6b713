import test from "ava";
import fc from "fast-check";
import { RecentTokens } from "../../../engine/sequence/recent-tokens.ts";

test("the recent tokens are those of the end of the text", (t) => {
  const window = fc.oneof(fc.nat({ max: 6 }), fc.constant(Infinity));
  fc.assert(
    fc.property(fc.array(fc.nat({ max: 4 }), { maxLength: 20 }), window, (tokenIds, window) => {
      const recent = new RecentTokens(window);
      for (const id of tokenIds) recent.add(id);
      const last = window === 0 ? [] : tokenIds.slice(-window);
      t.deepEqual([...recent.ids()].sort(), [...new Set(last)].sort());
    }),
  );
});
