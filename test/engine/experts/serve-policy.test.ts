import test from "ava";
import fc from "fast-check";
import {
  chooseOwnExperts,
  type SharedMiddle,
  stepSeconds,
  type TaskGroup,
} from "../../../engine/experts/serve-policy.ts";

const cost = { fixedSeconds: 5, perRowSeconds: 1 };
const dense = { fixedSeconds: 5, perRowSeconds: 1.5 };

function groupsOf(...rows: number[]): TaskGroup[] {
  return rows.map((count, index) => ({ task: `t${index}`, rows: count, cost }));
}

/** Seconds of a step over all groups when these have their own experts. */
function secondsOf(groups: readonly TaskGroup[], shared: SharedMiddle, own: Set<string>): number {
  let rows = shared.rows;
  let seconds = 0;
  for (const group of groups) {
    if (own.has(group.task)) seconds += stepSeconds(group.cost, group.rows);
    else rows += group.rows;
  }
  return seconds + stepSeconds(shared.cost, rows);
}

function subsetsOf(groups: readonly TaskGroup[]): Set<string>[] {
  return Array.from(
    { length: 2 ** groups.length },
    (_, bits) => new Set(groups.filter((_, i) => bits & (1 << i)).map(({ task }) => task)),
  );
}

test("a step without sequences takes no time", (t) => {
  t.is(stepSeconds(cost, 0), 0);
  t.is(stepSeconds(cost, 4), 9);
});

test("one task alone runs on its own expert, with one sequence or many", (t) => {
  for (const rows of [1, 16]) {
    t.deepEqual(chooseOwnExperts(groupsOf(rows), { cost, rows: 0 }), new Set(["t0"]));
  }
});

test("many small groups share a middle", (t) => {
  t.deepEqual(chooseOwnExperts(groupsOf(2, 2, 2, 2), { cost, rows: 0 }), new Set());
});

test("the group that gains more than a pass of its own costs keeps its expert", (t) => {
  // 0.5 a row is won over dense, and 5 a step is lost.
  t.deepEqual(chooseOwnExperts(groupsOf(2, 20, 3), { cost: dense, rows: 0 }), new Set(["t1"]));
});

test("a shared middle that runs anyway draws a small group", (t) => {
  t.deepEqual(chooseOwnExperts(groupsOf(2), { cost: dense, rows: 0 }), new Set(["t0"]));
  t.deepEqual(chooseOwnExperts(groupsOf(2), { cost: dense, rows: 3 }), new Set());
});

test("tasks keep their experts where sharing gains next to nothing", (t) => {
  const slightlyFaster = { fixedSeconds: 5, perRowSeconds: 0.99 };
  t.deepEqual(chooseOwnExperts(groupsOf(4), { cost: slightlyFaster, rows: 0 }), new Set(["t0"]));
  const faster = { fixedSeconds: 5, perRowSeconds: 0.9 };
  t.deepEqual(chooseOwnExperts(groupsOf(4), { cost: faster, rows: 0 }), new Set());
});

test("of groups that cost alike the smaller ones share", (t) => {
  const shared = { cost: { fixedSeconds: 0, perRowSeconds: 1.6 }, rows: 0 };
  t.deepEqual(chooseOwnExperts(groupsOf(1, 9, 2), shared), new Set(["t1"]));
});

test("no other division is faster by more than two percent", (t) => {
  const seconds = fc.double({ min: 0.1, max: 10, noNaN: true });
  const anyCost = fc.record({ fixedSeconds: seconds, perRowSeconds: seconds });
  const anyGroups = fc.array(fc.record({ rows: fc.integer({ min: 1, max: 9 }), cost: anyCost }), {
    minLength: 1,
    maxLength: 6,
  });
  const anyShared = fc.record({ cost: anyCost, rows: fc.nat(4) });
  const property = fc.property(anyGroups, anyShared, (unnamed, shared) => {
    const groups = unnamed.map((group, index) => ({ task: `t${index}`, ...group }));
    const chosen = secondsOf(groups, shared, chooseOwnExperts(groups, shared));
    const least = Math.min(...subsetsOf(groups).map((own) => secondsOf(groups, shared, own)));
    return chosen * 0.98 <= least + 1e-9;
  });
  t.notThrows(() => fc.assert(property));
});
