import test from "ava";
import { heatMap, linePlot } from "../../../bin/reports/svg-plots.ts";

const attributes = (svg: string, element: RegExp): string[] =>
  Array.from(svg.matchAll(element), ([, value]) => value!);

test("a heat map goes from its least value to its most, and says which they are", (t) => {
  const labels = ["a", "b"];
  const map = (values: number[][]): string =>
    heatMap({ title: "Map", rowLabels: labels, columnLabels: labels, values });
  const svg = map([
    [0.5, 0.6],
    [0.7, 0.9],
  ]);
  const opacities = attributes(svg, /fill-opacity="([\d.]+)"/g).map(Number);
  t.deepEqual([opacities[0], opacities[3]], [0.05, 1]);
  t.regex(svg, /lightest 0\.50, darkest 0\.90/);
  const flat = map([
    [1, 1],
    [1, 1],
  ]);
  t.deepEqual(attributes(flat, /fill-opacity="([\d.]+)"/g).map(Number), [1, 1, 1, 1]);
});

test("intervals at one place lie beside each other, lines without them where they are", (t) => {
  const plot = (interval: object): string[] =>
    attributes(
      linePlot({
        title: "Plot",
        xLabel: "x",
        yLabel: "y",
        lines: ["a", "b"].map((label) => ({ label, points: [{ x: 1, y: 2, ...interval }] })),
      }),
      /<circle cx="([\d.]+)"/g,
    );
  const [first, second] = plot({ low: 1, high: 3 });
  t.true(Number(second) > Number(first));
  const [one, other] = plot({});
  t.is(one, other);
});

test("lines beyond the number of colours are dashed", (t) => {
  const lines = Array.from({ length: 9 }, (_, i) => ({
    label: `line ${i}`,
    points: [
      { x: 0, y: i },
      { x: 1, y: i + 1 },
    ],
  }));
  const svg = linePlot({ title: "Plot", xLabel: "x", yLabel: "y", lines });
  // In the plot and in its legend.
  t.is(svg.match(/series s0 dashed/g)!.length, 2);
  t.is(svg.match(/dashed/g)!.length, 2);
});
