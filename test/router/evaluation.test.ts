import test from "ava";
import { evaluateRouter } from "../../router/evaluation.ts";
import { fitClusterRouter } from "../../router/fit-clusters.ts";
import { keywords } from "../../router/keywords.ts";
import {
  accuracyOf,
  areaUnderRoc,
  confusedPairs,
  countConfusion,
  labelScores,
  macroF1,
} from "../../router/metrics.ts";
import { proposeGroups } from "../../router/propose.ts";
import { formatRouterPage } from "../../bin/reports/router-page.ts";
import { formatRouterTable } from "../../bin/reports/router-tables.ts";
import { centerAt, rowsAround } from "../helpers/feature-groups.ts";

test("accuracy, F1 and confused pairs follow from the counts", (t) => {
  const row = (label: string, chosen: string) => ({ label, chosen });
  const confusion = countConfusion(
    ["a", "b"],
    [row("a", "a"), row("a", "a"), row("a", "b"), row("b", "b")],
  );
  t.is(accuracyOf(confusion), 0.75);
  const scores = labelScores(confusion);
  t.deepEqual(
    scores.map(({ precision, recall }) => [precision, recall]),
    [
      [1, 2 / 3],
      [0.5, 1],
    ],
  );
  t.true(Math.abs(macroF1(scores) - (0.8 + 2 / 3) / 2) < 1e-12);
  t.deepEqual(confusedPairs(confusion, 5), [
    { label: "a", takenFor: "b", numRows: 1, share: 1 / 3 },
  ]);
});

test("the area under the ROC curve is 1 for values apart, a half for equal ones", (t) => {
  t.is(areaUnderRoc([1, 2, 3], [4, 5]), 1);
  t.is(areaUnderRoc([4, 5], [1, 2, 3]), 0);
  t.is(areaUnderRoc([1, 1], [1, 1]), 0.5);
  t.is(areaUnderRoc([1, 3], [2, 4]), 0.75);
});

function result() {
  const tasks = new Map([
    ["math", rowsAround(centerAt(0), 30, { seed: 1 })],
    ["code", rowsAround(centerAt(1), 30, { seed: 2 })],
  ]);
  const background = new Map([["noise", rowsAround(centerAt(3), 30, { seed: 4 })]]);
  const router = fitClusterRouter({ tasks, background }, { model: null });
  return evaluateRouter("a <suite>", router, [
    { name: "sums", task: "math", rows: rowsAround(centerAt(0), 10, { seed: 11 }) },
    { name: "programs", task: "code", rows: rowsAround(centerAt(1), 10, { seed: 12 }) },
    { name: "gibberish", task: null, rows: rowsAround(centerAt(3), 10, { seed: 13 }) },
  ]);
}

test("an evaluation tells how tasks are found and others are turned away", (t) => {
  const { accuracy, rightTask, wrongTask, rejection, sets, map } = result();
  t.is(accuracy, 1);
  t.is(wrongTask, 0);
  t.is(rightTask, 1 - rejection.falseRejection);
  t.is(rejection.auroc, 1);
  t.deepEqual(
    rejection.sets.map(({ name, rejected }) => [name, rejected]),
    [["gibberish", 1]],
  );
  t.deepEqual(
    sets.map(({ name }) => name),
    ["sums", "programs"],
  );
  t.is(map!.length, 30);
});

test("the report has every router, and text in it stays text", (t) => {
  const page = formatRouterPage("tiny & small", [result()]);
  t.true(page.includes("tiny &amp; small") && page.includes("a &lt;suite&gt;"));
  t.false(page.includes("<suite>"));
  t.false(page.includes("NaN"));
  const table = formatRouterTable([result()]);
  t.regex(table, /\| a <suite> \| clusters \| 20 \| 100\.0 % /);
});

test("groups of unknown prompts are found without being told how many", (t) => {
  const rows = [0, 1, 2].flatMap((direction) =>
    rowsAround(centerAt(direction, 30), 20 + direction, { seed: direction + 1 }),
  );
  const groups = proposeGroups(rows);
  t.deepEqual(
    groups.map(({ members }) => members.length),
    [22, 21, 20],
  );
  t.true(groups.every(({ separation }) => separation > 0.4));
  t.deepEqual(proposeGroups(rows), groups);
  t.is(proposeGroups(rows, { numGroups: 2 }).length, 2);
  t.throws(() => proposeGroups(rows.slice(0, 10)), { message: /at least 16 prompts.*got 10/ });
});

test("keywords are what the others do not say", (t) => {
  const groups = [
    ["please sort the invoice", "please pay the invoice", "where is the invoice?"],
    ["please water the garden", "the garden is dry", "a hose for the garden, please"],
  ];
  t.deepEqual(
    keywords(groups, 1).map(([word]) => word),
    ["invoice", "garden"],
  );
});
