import { generalExpert } from "../../engine/contract/experts.ts";
import type { ExpertOptions, TaskPolicy } from "../../engine/contract/experts.ts";
import { ConfigError } from "../base/config-error.ts";
import type { Config } from "../config/config.ts";
import type { ExpertBudget, ExpertBuildSettings, ExpertSource } from "./expert-source.ts";

/** Share of the available memory that experts may take where the user does not say. */
const DEFAULT_MEMORY_SHARE = 0.25;

/** Compared answers before which nothing is concluded from them. */
const MIN_SHADOW_REQUESTS = 20;

export type ExpertConfig = Pick<
  Config,
  | "experts"
  | "expertMemory"
  | "expertPolicy"
  | "maxLossIncrease"
  | "expertSparsity"
  | "expertTokens"
  | "whileBuilding"
  | "preload"
  | "expertIdleSeconds"
  | "maxParkedRequests"
  | "shadow"
  | "shadowMaxKl"
>;

export interface ExpertPlanOptions {
  readonly config: ExpertConfig;
  /** Of the router. */
  readonly tasks: readonly string[];
  readonly source: Pick<ExpertSource, "tasks">;
  /** Memory that nothing else takes. */
  readonly availableBytes: number;
}

/** What the engine and the builder are told. */
export interface PlannedExperts {
  readonly options: ExpertOptions;
  readonly settings: ExpertBuildSettings;
}

/**
 * The experts that the configuration asks for, of the router's tasks and of all together.
 * @returns null where there are none
 * @throws ConfigError when it names a task that there is not, or that has no corpus to build an expert from.
 */
export function planExperts(options: ExpertPlanOptions): PlannedExperts | null {
  const { config, tasks, source, availableBytes } = options;
  if (config.experts.mode === "off") return null;
  checkTasks(options);
  const policies: Record<string, TaskPolicy> = {};
  const budgets: Record<string, ExpertBudget> = {};
  for (const task of tasks) {
    const special = config.experts.tasks[task];
    const isServed = (special?.serve ?? true) && source.tasks.includes(task);
    const whileBuilding = special?.whileBuilding ?? config.whileBuilding;
    policies[task] = { isServed, whileBuilding };
    if (isServed) budgets[task] = budgetOf(config, task);
  }
  if (Object.keys(budgets).length === 0) return null;
  const hasGeneral = config.experts.tasks[generalExpert]?.serve ?? true;
  if (hasGeneral) budgets[generalExpert] = budgetOf(config, generalExpert);
  checkPreload(config.preload, Object.keys(budgets));
  const { expertIdleSeconds } = config;
  return {
    options: {
      tasks: policies,
      hasGeneral,
      memoryBytes: config.expertMemory ?? Math.floor(availableBytes * DEFAULT_MEMORY_SHARE),
      policy: config.expertPolicy,
      preload: config.preload,
      idleMs: expertIdleSeconds === 0 ? null : expertIdleSeconds * 1000,
      maxParked: config.maxParkedRequests,
      shadow: {
        share: config.shadow,
        maxKl: config.shadowMaxKl,
        minRequests: MIN_SHADOW_REQUESTS,
      },
    },
    settings: { tasks: budgets, tokens: config.expertTokens },
  };
}

function budgetOf({ experts, expertSparsity, maxLossIncrease }: ExpertConfig, task: string) {
  const special = experts.tasks[task];
  if (special?.sparsity !== undefined) return { sparsity: special.sparsity };
  if (special?.maxLossIncrease !== undefined) return { maxLossIncrease: special.maxLossIncrease };
  return expertSparsity === undefined ? { maxLossIncrease } : { sparsity: expertSparsity };
}

function checkTasks({ config, tasks, source }: ExpertPlanOptions): void {
  for (const [task, special] of Object.entries(config.experts.tasks)) {
    if (task === generalExpert) {
      if (special.whileBuilding === undefined) continue;
      throw new ConfigError("experts: tasks.general.whileBuilding: no prompt waits for general.");
    }
    if (!tasks.includes(task)) {
      const known = [...tasks, generalExpert].join(", ");
      throw new ConfigError(
        `experts: tasks: expected names among ${known}, which are the router's tasks, ` +
          `got ${JSON.stringify(task)}.`,
      );
    }
    if (special.serve !== false && !source.tasks.includes(task)) {
      throw new ConfigError(
        `experts: tasks.${task}: expected {"serve": false}, since experts can be built of the tasks ` +
          `${source.tasks.join(", ")}.`,
      );
    }
  }
}

function checkPreload(preload: readonly string[], known: readonly string[]): void {
  for (const task of preload) {
    if (known.includes(task)) continue;
    throw new ConfigError(
      `--preload: expected names among ${known.join(", ")}, got ${JSON.stringify(task)}.`,
    );
  }
}
