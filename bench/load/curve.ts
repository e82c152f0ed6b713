import type { RequestRecord } from "./client.ts";
import { ascending, percentile } from "./percentiles.ts";
import { firstTokenMs, gapsMs } from "./summary.ts";

/** Shares of all values whose percentiles make a curve. */
export const curveShares: readonly number[] = [
  ...Array.from({ length: 19 }, (_, i) => (i + 1) / 20),
  0.99,
  1,
];

/** Latencies in milliseconds at each of `curveShares`; empty where nothing was measured. */
export interface LatencyCurves {
  readonly firstTokenMs: readonly number[];
  readonly betweenTokensMs: readonly number[];
  readonly endToEndMs: readonly number[];
}

export function latencyCurves(records: readonly RequestRecord[]): LatencyCurves {
  const answered = records.filter(({ error }) => error === null);
  return {
    firstTokenMs: curve(answered.flatMap((record) => firstTokenMs(record) ?? [])),
    betweenTokensMs: curve(answered.flatMap(({ textAtMs }) => gapsMs(textAtMs))),
    endToEndMs: curve(answered.map(({ startedAtMs, endedAtMs }) => endedAtMs - startedAtMs)),
  };
}

function curve(values: readonly number[]): number[] {
  const sorted = ascending(values);
  return curveShares.flatMap((share) => percentile(sorted, share) ?? []);
}
