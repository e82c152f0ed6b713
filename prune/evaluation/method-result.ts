import type { ExpertPlan, Sparsities } from "../../model/experts/expert-plan.ts";
import type { EncodedTask } from "./encode-task.ts";
import type { MathOutcomes } from "./math-answers.ts";
import type { Measurement, Outcomes } from "./measurement-store.ts";
import type { ChoiceOutcomes } from "./multiple-choice.ts";
import { summarizeChoice, summarizeGeneration, summarizeText } from "./result.ts";
import type { MethodResult, TaskResult } from "./result.ts";
import type { TextOutcomes } from "../scoring/text-quality.ts";

const nothingGone: Sparsities = { middle: 0, blocks: 0, model: 0 };

/**
 * What a method at one sparsity has shown.
 * @param measured in the order of `tasks`
 * @param dense on the same tasks; null for dense itself
 */
export function methodResult(
  { name, sparsityTarget }: Pick<MethodResult, "name" | "sparsityTarget">,
  tasks: readonly EncodedTask[],
  measured: readonly Measurement[],
  dense: readonly Measurement[] | null,
): MethodResult {
  const middles = distinctMiddles(measured);
  const meanOf = (values: readonly number[]): number =>
    values.reduce((sum, value) => sum + value, 0) / values.length;
  const sparsity = (part: keyof Sparsities): number =>
    meanOf(middles.map(({ plan }) => (plan?.sparsity ?? nothingGone)[part]));
  const buildSeconds = middles.flatMap((middle) => middle.buildSeconds ?? []);
  return {
    name,
    sparsityTarget,
    trueSparsity: {
      middle: sparsity("middle"),
      blocks: sparsity("blocks"),
      model: sparsity("model"),
    },
    tasks: tasks.map((task, index) =>
      summarize(task, measured[index]!.outcomes, dense?.[index]!.outcomes ?? null),
    ),
    sizeBytes: Math.round(meanOf(middles.map(({ sizeBytes }) => sizeBytes))),
    buildSeconds: buildSeconds.length > 0 ? meanOf(buildSeconds) : null,
  };
}

/** The plan of each expert, once. */
export function distinctPlans(measured: readonly Measurement[]): ExpertPlan[] {
  return distinctMiddles(measured).flatMap(({ plan }) => plan ?? []);
}

/** The first measurement of each expert; one that was built for it where there is one. */
function distinctMiddles(measured: readonly Measurement[]): Measurement["middle"][] {
  const byTask = new Map<string, Measurement["middle"]>();
  for (const { middle } of measured) {
    const task = middle.plan?.task ?? "dense";
    const present = byTask.get(task);
    if (present === undefined || (present.buildSeconds === null && middle.buildSeconds !== null)) {
      byTask.set(task, middle);
    }
  }
  return [...byTask.values()];
}

function summarize(task: EncodedTask, outcomes: Outcomes, dense: Outcomes | null): TaskResult {
  switch (task.kind) {
    case "choice":
      return summarizeChoice(task, outcomes as ChoiceOutcomes, dense as ChoiceOutcomes | null);
    case "text":
      return summarizeText(task.name, outcomes as TextOutcomes, dense as TextOutcomes | null);
    case "generation":
      return summarizeGeneration(task.name, outcomes as MathOutcomes, dense as MathOutcomes | null);
  }
}
