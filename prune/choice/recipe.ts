import { createHash } from "node:crypto";
import { CalibrationError } from "../errors.ts";
import { mixStatistics } from "../calibration/mixed-statistics.ts";
import type { StatisticsReader } from "../calibration/mixed-statistics.ts";
import type { Profile } from "../calibration/profile.ts";
import type { ProfileSource } from "../calibration/profile-source.ts";

/** How an expert is made. */
export interface Recipe {
  /**
   * What heads and channels are chosen by: `norm` is s_W of Wanda-sp, `variance` s_F of FLAP and SEAP, `surgeon`
   * the reconstruction error once the rest is refitted.
   */
  readonly choice: "norm" | "variance" | "surgeon";
  /** How much each layer and module loses; `error`: where the surgeon's error rises least. */
  readonly allocation: "uniform" | "global" | "logistic" | "error";
  /** What makes up for the parts that are gone. */
  readonly compensation: "none" | "bias" | "leastSquares";
  /**
   * What is calibrated with: the task's own text; the task's and some of all tasks; text of all tasks as one corpus;
   * each task's own, whose scores are added up.
   */
  readonly calibration: "task" | "mixed" | "general" | "sum";
}

/**
 * - `wanda`: Wanda-sp (UL-UM);
 * - `flap`: FLAP (AL-AM);
 * - `seap`, `seap-general`: SEAP's expert and its mask over all tasks;
 * - `best`, `best-general`: ours, for a task and for all of them.
 */
export const recipes = {
  wanda: { choice: "norm", allocation: "uniform", compensation: "none", calibration: "task" },
  flap: { choice: "variance", allocation: "global", compensation: "bias", calibration: "task" },
  seap: { choice: "variance", allocation: "logistic", compensation: "bias", calibration: "task" },
  "seap-general": {
    choice: "variance",
    allocation: "logistic",
    compensation: "bias",
    calibration: "sum",
  },
  best: {
    choice: "surgeon",
    allocation: "error",
    compensation: "leastSquares",
    calibration: "mixed",
  },
  "best-general": {
    choice: "surgeon",
    allocation: "error",
    compensation: "leastSquares",
    calibration: "general",
  },
} as const satisfies Record<string, Recipe>;

export type Method = keyof typeof recipes;

export const methods = Object.keys(recipes) as Method[];

export const defaultMethod: Method = "best";

/** One expert for all tasks. */
export function isGeneralMethod(method: Method): boolean {
  const { calibration } = recipes[method];
  return calibration === "general" || calibration === "sum";
}

/** Share of all tasks' text in a mix: it costs the task nothing and keeps the expert sane outside of it. */
export const generalShare = 0.2;

/** What an expert is calibrated with. */
export interface CalibrationData {
  /** Follows from what was read and how it is used. */
  readonly key: string;
  /** Scores are summed over these. */
  readonly scored: readonly StatisticsReader[];
  /** Of one text, for reconstruction. */
  readonly statistics: StatisticsReader;
}

/**
 * Calibrates what a method needs for a task.
 * @param task of no matter to general methods
 * @throws CalibrationError, CorpusError
 */
export async function calibrationFor(
  method: Method,
  task: string,
  profiles: ProfileSource,
): Promise<CalibrationData> {
  const { calibration } = recipes[method];
  switch (calibration) {
    case "task":
      return calibrationData([[await profiles.profileOf(task), 1]]);
    case "general":
      return calibrationData([[await profiles.general(), 1]]);
    case "mixed":
      return calibrationData([
        [await profiles.profileOf(task), 1 - generalShare],
        // No more text than its share of the mix: for a first expert answers to all tasks are written.
        [await profiles.general(generalShare / (1 - generalShare)), generalShare],
      ]);
    case "sum": {
      const parts: (readonly [Profile, number])[] = [];
      for (const each of profiles.tasks) {
        parts.push([await profiles.profileOf(each), 1 / profiles.tasks.length]);
      }
      if (parts.length === 0) throw new CalibrationError("There are no tasks to calibrate with.");
      const { key, statistics } = calibrationData(parts);
      return { key: `sum ${key}`, scored: parts.map(([profile]) => profile), statistics };
    }
  }
}

function calibrationData(parts: readonly (readonly [Profile, number])[]): CalibrationData {
  const described = parts.map(([{ key }, share]) => `${key} ${share}`).join(" ");
  const statistics = mixStatistics(parts.map(([reader, share]) => ({ reader, share })));
  return {
    key: createHash("sha256").update(described).digest("hex").slice(0, 32),
    scored: [statistics],
    statistics,
  };
}
