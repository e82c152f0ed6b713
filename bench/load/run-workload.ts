import { generator } from "../../router/k-means.ts";
import { poissonArrivals } from "./arrivals.ts";
import type { RequestRecord } from "./client.ts";
import { withServers } from "./compare.ts";
import type { Pair } from "./compare.ts";
import { latencyCurves } from "./curve.ts";
import type { WorkloadResult } from "./report.ts";
import { closedLoop, openLoop } from "./run-load.ts";
import { summarise } from "./summary.ts";
import type { Workload } from "./workloads.ts";

export interface WorkloadOptions {
  /** Sessions at once, in the closed loop. */
  readonly streams: number;
  /** Sessions that come in a second, in the open loop. */
  readonly rate: number;
  /** Of each loop. */
  readonly minutes: number;
  readonly rounds: number;
  readonly log: (line: string) => void;
}

/** A workload in a closed and an open loop on both servers in turn. */
export async function runWorkload(
  pair: Pair,
  workload: Workload,
  options: WorkloadOptions,
): Promise<WorkloadResult[]> {
  const { streams, rate, minutes, rounds, log } = options;
  const { name, title, sessions, usesCache } = workload;
  const results: WorkloadResult[] = [];
  await withServers(pair, usesCache, sessions.slice(0, 8), async (seap, llama) => {
    const sides = [
      { side: pair.seap, url: seap.url },
      ...(llama ? [{ side: pair.llama!, url: llama.url }] : []),
    ];
    for (const loop of ["closed", "open"] as const) {
      const records = sides.map((): RequestRecord[][] => []);
      for (let round = 0; round < rounds; round++) {
        // Other ones in each round, the same for both.
        const first = Math.floor((round * sessions.length) / rounds);
        const turned = [...sessions.slice(first), ...sessions.slice(0, first)];
        for (const [index, { url }] of sides.entries()) {
          const arrivals = poissonArrivals(rate, 60 * minutes, generator(round + 1));
          records[index]!.push(
            loop === "closed"
              ? await closedLoop(url, turned, workload, { streams, minutes })
              : await openLoop(url, turned, workload, arrivals),
          );
        }
      }
      for (const [index, { side }] of sides.entries()) {
        const summaries = records[index]!.map(summarise);
        results.push({
          ...{ workload: name, title, loop, amount: loop === "closed" ? streams : rate },
          ...{ side: side.name, setting: side.setting },
          rounds: summaries,
          curves: latencyCurves(records[index]!.flat()),
        });
        const speeds = summaries.map(({ tokensPerSecond }) => tokensPerSecond.toFixed(0));
        log(`${name}, ${loop} loop: ${side.name} ${speeds.join(", ")} tokens/s`);
      }
    }
  });
  return results;
}
