import { median } from "../load/percentiles.ts";

/** What a process was like at a time. */
export interface Sample {
  readonly atSeconds: number;
  readonly values: Readonly<Record<SeriesName, number>>;
}

export type SeriesName = keyof typeof series;

/** What is watched, and how much it may grow over the second half: a share of its median, or an amount where that is more. */
export const series = {
  residentMiB: { title: "resident memory, MiB", share: 0.05, amount: 32 },
  heapMiB: { title: "JavaScript heap, MiB", share: 0.1, amount: 16 },
  externalMiB: { title: "memory of buffers, MiB", share: 0.1, amount: 16 },
  files: { title: "open files and sockets", share: 0.1, amount: 8 },
  threads: { title: "threads", share: 0, amount: 2 },
  handles: { title: "handles of Node", share: 0.1, amount: 8 },
  lagMs: { title: "lag of the event loop, p99, ms", share: 0.25, amount: 20 },
} as const;

export interface SeriesVerdict {
  readonly name: SeriesName;
  /** Medians of the two halves. */
  readonly first: number;
  readonly second: number;
  /** Over the second half, an hour. */
  readonly slopePerHour: number;
  /** Over the second half. */
  readonly growth: number;
  readonly allowed: number;
  readonly isFlat: boolean;
}

/** Judges each series by the second half of the time, when all caches have filled. */
export function judge(samples: readonly Sample[]): SeriesVerdict[] {
  const start = samples[0]!.atSeconds;
  const middle = (start + samples.at(-1)!.atSeconds) / 2;
  const [firstHalf, secondHalf] = [
    samples.filter(({ atSeconds }) => atSeconds < middle),
    samples.filter(({ atSeconds }) => atSeconds >= middle),
  ];
  const seconds = secondHalf.at(-1)!.atSeconds - secondHalf[0]!.atSeconds;
  return (Object.keys(series) as SeriesName[]).map((name) => {
    const points = secondHalf.map(({ atSeconds, values }) => [atSeconds, values[name]] as const);
    const slope = medianSlope(points);
    const second = median(points.map(([, value]) => value)) ?? 0;
    const first = median(firstHalf.map(({ values }) => values[name])) ?? second;
    const allowed = Math.max(series[name].share * second, series[name].amount);
    const growth = slope * seconds;
    const isFlat = growth <= allowed;
    return { name, first, second, slopePerHour: 3600 * slope, growth, allowed, isFlat };
  });
}

/** Median of the slopes between all pairs of points (Theil and Sen), which outliers do not turn. */
export function medianSlope(points: readonly (readonly [x: number, y: number])[]): number {
  const slopes = points.flatMap(([x1, y1], i) =>
    points.slice(i + 1).map(([x2, y2]) => (y2 - y1) / (x2 - x1)),
  );
  return median(slopes) ?? 0;
}
