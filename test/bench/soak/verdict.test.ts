import test from "ava";
import { formatSoak, passes } from "../../../bench/soak/report.ts";
import { judge, medianSlope } from "../../../bench/soak/verdict.ts";
import type { Sample, SeriesName } from "../../../bench/soak/verdict.ts";

const steady = {
  ...{ residentMiB: 500, heapMiB: 50, externalMiB: 10, files: 40, threads: 20, handles: 10 },
  lagMs: 12,
};

function samplesOf(name: SeriesName, valueAt: (seconds: number) => number): Sample[] {
  return Array.from({ length: 61 }, (_, minute) => ({
    atSeconds: 60 * minute,
    values: { ...steady, [name]: valueAt(60 * minute) },
  }));
}

const verdictOf = (name: SeriesName, samples: readonly Sample[]) =>
  judge(samples).find((verdict) => verdict.name === name)!;

test("the slope is that of most pairs of points, whatever an outlier says", (t) => {
  const points = Array.from({ length: 9 }, (_, x) => [x, 2 * x + 1] as const);
  t.is(medianSlope(points), 2);
  t.is(medianSlope(points.with(8, [8, 1000])), 2);
  t.is(medianSlope([[0, 1]]), 0);
});

test("what fills in the first half and then stays is flat", (t) => {
  const samples = samplesOf("residentMiB", (seconds) => Math.min(500, 100 + seconds / 3));
  const { isFlat, growth, slopePerHour } = verdictOf("residentMiB", samples);
  t.deepEqual({ isFlat, growth, slopePerHour }, { isFlat: true, growth: 0, slopePerHour: 0 });
});

test("what grows on in the second half is not, and fails the soak", (t) => {
  const samples = samplesOf("files", (seconds) => 40 + seconds / 60);
  const verdict = verdictOf("files", samples);
  t.is(verdict.isFlat, false);
  t.true(Math.abs(verdict.slopePerHour - 60) < 1e-9);
  t.true(Math.abs(verdict.growth - 30) < 1e-9);
  const report = {
    ...{ machine: "A machine", minutes: 60, done: { sessions: 5 }, problems: [] },
    verdicts: judge(samples),
  };
  t.false(passes(report));
  t.regex(formatSoak(report), /open files and sockets .*grows/);
  t.regex(formatSoak(report), /Failed\.\n$/);
});

test("a problem fails a soak in which nothing grew", (t) => {
  const verdicts = judge(samplesOf("files", () => 40));
  const report = { machine: "A machine", minutes: 1, done: {}, verdicts };
  t.true(passes({ ...report, problems: [] }));
  t.false(passes({ ...report, problems: ["sessions: 500"] }));
});
