import test from "ava";
import fc from "fast-check";
import { capacityFor, planCapacities } from "../../../engine/device/kv-capacity.ts";

const length = fc.integer({ min: 1, max: 5000 });

test("the capacity classes are 64, 128, 192, 256 and then two per doubling", (t) => {
  const classes = new Set(Array.from({ length: 2048 }, (_, i) => capacityFor(i + 1)));
  t.deepEqual([...classes], [64, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048]);
});

test("a class is the smallest that holds the length", (t) => {
  for (const [tokens, capacity] of [
    [64, 64],
    [65, 128],
    [128, 128],
    [129, 192],
    [192, 192],
    [193, 256],
  ] as const) {
    t.is(capacityFor(tokens), capacity);
  }
});

test("a class holds the length, is a multiple of 64 and wastes less than half beyond 64", (t) => {
  fc.assert(
    fc.property(length, (tokens) => {
      const capacity = capacityFor(tokens);
      return (
        capacity >= tokens &&
        capacity % 64 === 0 &&
        (capacity === 64 || capacity < 2 * tokens) &&
        capacity <= capacityFor(tokens + 1)
      );
    }),
  );
  t.pass();
});

const demand = fc.record({ length, capacity: fc.constantFrom(0, 64, 128, 256, 384, 1024, 4096) });

test("a plan gives every sequence room, at most twice its class", (t) => {
  fc.assert(
    fc.property(fc.array(demand, { maxLength: 20 }), (demands) => {
      const plan = planCapacities(demands);
      return (
        plan.length === demands.length &&
        demands.every(({ length: tokens }, i) => {
          const own = capacityFor(tokens);
          return plan[i]! >= own && plan[i]! <= 2 * own;
        })
      );
    }),
  );
  t.pass();
});

test("a new sequence joins the largest batch that is at most twice its class", (t) => {
  fc.assert(
    fc.property(fc.array(length, { maxLength: 20 }), (lengths) => {
      const plan = planCapacities(lengths.map((tokens) => ({ length: tokens, capacity: 0 })));
      return lengths.every((tokens, i) =>
        plan.every((other) => other <= plan[i]! || other > 2 * capacityFor(tokens)),
      );
    }),
  );
  t.pass();
});

test("a sequence alone stays in the class it holds while that is at most twice its own", (t) => {
  t.deepEqual(planCapacities([{ length: 70, capacity: 256 }]), [256]);
  t.deepEqual(planCapacities([{ length: 60, capacity: 256 }]), [64]);
  t.deepEqual(planCapacities([{ length: 257, capacity: 256 }]), [384]);
});

test("sequences of near classes share the largest", (t) => {
  const demands = [60, 100, 128].map((tokens) => ({ length: tokens, capacity: 0 }));
  t.deepEqual(planCapacities(demands), [128, 128, 128]);
});

test("a plan repeated moves nobody", (t) => {
  fc.assert(
    fc.property(fc.array(length, { maxLength: 20 }), (lengths) => {
      const first = planCapacities(lengths.map((tokens) => ({ length: tokens, capacity: 0 })));
      const demands = lengths.map((tokens, i) => ({ length: tokens, capacity: first[i]! }));
      return planCapacities(demands).every((capacity, i) => capacity === first[i]);
    }),
  );
  t.pass();
});
