import type { RequestRecord } from "./client.ts";
import type { Measure, Measured } from "./measures.ts";
import { median } from "./percentiles.ts";
import type { Comparison, RowResult } from "./report.ts";
import { closedLoop } from "./run-load.ts";
import type { RunningServer, Side } from "./side.ts";
import type { Session } from "./workloads.ts";

export interface Pair {
  readonly seap: Side;
  /** Null where there is nothing to compare with. */
  readonly llama: Side | null;
}

export interface CompareOptions {
  readonly measures: readonly Measure[];
  readonly rounds: number;
  readonly warmUp: readonly Session[];
  readonly log: (line: string) => void;
}

/**
 * Does each measure to both servers in turn, round by round. Both are there all the time, but only one is ever asked: the other
 * waits, and takes no processor time.
 */
export async function compare(pair: Pair, options: CompareOptions): Promise<Comparison> {
  const { measures, rounds } = options;
  const rows: RowResult[] = [];
  let residentBytes: Comparison["residentBytes"] = { seap: 0, llama: null };
  for (const usesCache of [false, true]) {
    const chosen = measures.filter((measure) => measure.usesCache === usesCache);
    if (chosen.length === 0) continue;
    await withServers(pair, usesCache, options.warmUp, async (seap, llama) => {
      for (const measure of chosen) {
        rows.push(...(await measureInTurn(measure, { seap, llama }, options)));
      }
      if (!usesCache) {
        residentBytes = { seap: seap.residentBytes, llama: llama?.residentBytes ?? null };
      }
    });
  }
  const { seap, llama } = pair;
  return { seap: seap.setting, llama: llama?.setting ?? null, rounds, rows, residentBytes };
}

/** Starts both servers, has each answer something, and closes them whatever `use` does. */
export async function withServers(
  { seap: seapSide, llama: llamaSide }: Pair,
  usesCache: boolean,
  warmUp: readonly Session[],
  use: (seap: RunningServer, llama: RunningServer | null) => Promise<void>,
): Promise<void> {
  const seap = await seapSide.start(usesCache);
  try {
    const llama = (await llamaSide?.start(usesCache)) ?? null;
    try {
      for (const server of [seap, llama]) {
        const limits = { maxTokens: 8, usesCache: false };
        if (server) await closedLoop(server.url, warmUp, limits, { streams: 8 });
      }
      await use(seap, llama);
    } finally {
      await llama?.close();
    }
  } finally {
    await seap.close();
  }
}

async function measureInTurn(
  measure: Measure,
  { seap, llama }: { readonly seap: RunningServer; readonly llama: RunningServer | null },
  { rounds, log }: CompareOptions,
): Promise<RowResult[]> {
  const ours: Measured[] = [];
  const theirs: Measured[] = [];
  for (let round = 0; round < rounds; round++) {
    ours.push(await measure.run(seap.url, round));
    if (llama) theirs.push(await measure.run(llama.url, round));
  }
  return measure.rows.map((row, index) => {
    const values = (all: readonly Measured[]) => all.map((measured) => measured.values[index]!);
    const result = {
      ...row,
      seap: values(ours),
      llama: llama && values(theirs),
      errors: { seap: countErrors(ours), llama: countErrors(theirs) },
    };
    log(describeRow(result));
    return result;
  });
}

function describeRow({ name, unit, seap, llama, errors }: RowResult): string {
  const shown = (values: readonly number[]) => median(values)?.toFixed(0) ?? "–";
  const peer = llama ? `, llama.cpp ${shown(llama)}` : "";
  const failed = errors.seap + errors.llama;
  const failures = failed > 0 ? `; ${errors.seap} and ${errors.llama} requests failed` : "";
  return `${name}: ${shown(seap)} ${unit}${peer}${failures}`;
}

function countErrors(all: readonly Measured[]): number {
  const records: RequestRecord[] = all.flatMap((measured) => measured.records);
  return records.filter(({ error }) => error !== null).length;
}
