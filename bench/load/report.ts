import type { LatencyCurves } from "./curve.ts";
import type { MeasureRow } from "./measures.ts";
import type { LoadSummary } from "./summary.ts";
import type { WorkloadName } from "./workloads.ts";

/** All that a run has found, as it is written to JSON. */
export interface LoadReport {
  readonly machine: Machine;
  readonly model: string;
  /** Where the prompts are from. */
  readonly prompts: string;
  readonly llama: LlamaReport;
  readonly comparisons: readonly Comparison[];
  readonly workloads: readonly WorkloadResult[];
  /** Of the whole run, without the build of llama.cpp. */
  readonly seconds: number;
}

export interface Machine {
  readonly cpu: string;
  readonly threads: number;
  /** Of the last minute, before and after. */
  readonly load: readonly [number, number];
}

/** Why there is no comparison, or what llama.cpp was measured with. */
export type LlamaReport =
  | { readonly problem: string }
  | {
      readonly version: string;
      /** 0 where it was built before. */
      readonly buildSeconds: number;
      readonly settings: readonly SettingSpeed[];
    };

/** What was tried to find llama.cpp's best setting. */
export interface SettingSpeed {
  readonly setting: string;
  /** Tokens a second with one stream, and with eight. */
  readonly alone: number;
  readonly busy: number;
}

/** Our server with some weights beside llama.cpp with like ones. */
export interface Comparison {
  readonly seap: string;
  readonly llama: string | null;
  readonly rounds: number;
  readonly rows: readonly RowResult[];
  readonly residentBytes: { readonly seap: number; readonly llama: number | null };
}

export interface RowResult extends MeasureRow {
  /** One value of each round. */
  readonly seap: readonly number[];
  readonly llama: readonly number[] | null;
  readonly errors: { readonly seap: number; readonly llama: number };
}

/** A workload on one side. */
export interface WorkloadResult {
  readonly workload: WorkloadName;
  readonly title: string;
  readonly loop: "closed" | "open";
  /** Sessions at once, or sessions that come in a second. */
  readonly amount: number;
  readonly side: string;
  readonly setting: string;
  /** One of each round. */
  readonly rounds: readonly LoadSummary[];
  /** Over all rounds. */
  readonly curves: LatencyCurves;
}
