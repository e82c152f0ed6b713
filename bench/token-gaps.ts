import type { HttpSide } from "./http-side.ts";
import { taskHeaders } from "./speed-side.ts";

export interface Gaps {
  /** Milliseconds between two tokens of a stream. */
  readonly worstMs: number;
  /** Of a hundred gaps the second longest. */
  readonly p99Ms: number;
}

/** Gaps between tokens while all streams run together. Each has another task of these. */
export async function measureGaps(
  side: HttpSide,
  tasks: readonly string[],
  numTokens: number,
): Promise<Gaps> {
  const prompt = (first: number) =>
    Array.from({ length: 32 }, (_, i) => (((first + i) * 7919 + 13) % 40_000) + 100);
  const streams = await Promise.all(
    tasks.map(async (task, index) => {
      const { arrivals } = await side.stream(prompt(index), numTokens, taskHeaders(task));
      return arrivals;
    }),
  );
  const from = Math.max(...streams.map((arrivals) => arrivals[1]!));
  const to = Math.min(...streams.map((arrivals) => arrivals.at(-2)!));
  const gaps = streams
    .flatMap((arrivals) =>
      arrivals
        .slice(1)
        .flatMap((at, i) => (arrivals[i]! >= from && at <= to ? at - arrivals[i]! : [])),
    )
    .sort((a, b) => a - b);
  return { worstMs: gaps.at(-1)!, p99Ms: gaps[Math.floor(gaps.length * 0.99)]! };
}

/** Loads and evicts experts one after the other while work goes on. @returns the loads */
export async function whileLoading(
  side: HttpSide,
  experts: readonly string[],
  work: Promise<unknown>,
): Promise<number> {
  let isDone = false;
  const done = () => {
    isDone = true;
  };
  void work.then(done, done);
  let loads = 0;
  for (; !isDone; loads++) {
    const expert = experts[loads % experts.length]!;
    await side.ask("POST", `/v1/experts/${expert}/load`);
    await side.ask("POST", `/v1/experts/${expert}/evict`);
  }
  return loads;
}
