import { moments } from "./discriminant.ts";
import { upperQuantile } from "./calibration.ts";
import { defaultFalseRejection } from "./fit-clusters.ts";
import type { FitOptions } from "./fit-clusters.ts";
import { LogisticRouter } from "./logistic-router.ts";
import { fitSoftmaxRegression } from "./softmax-regression.ts";
import type { LinearScores } from "./softmax-regression.ts";
import { groupsOf, splitGroup } from "./training-set.ts";
import type { Group, TrainingSet } from "./training-set.ts";

/** Of the squared weights of standardised features. */
const decay = 1e-4;

/**
 * Fits the baseline. It has no use for a background: only its threshold says when a prompt is none of the tasks'.
 * @throws RouterError when there are too few tasks or prompts.
 */
export function fitLogisticRouter(
  { tasks }: Pick<TrainingSet, "tasks">,
  { model, falseRejection = defaultFalseRejection }: Pick<FitOptions, "model" | "falseRejection">,
): LogisticRouter {
  const groups = groupsOf({ tasks, background: new Map() });
  const names = groups.map(({ task }) => task!);
  const parts = groups.map((group) => splitGroup(group));
  const trial = new LogisticRouter({
    model,
    tasks: names,
    scores: fitScores(parts.map(({ fitted }) => fitted)),
    threshold: 1,
  });
  const strangeness = parts.flatMap(({ heldOut }) =>
    heldOut.rows.map((row) => trial.route(row).strangeness),
  );
  return new LogisticRouter({
    model,
    tasks: names,
    scores: fitScores(groups),
    threshold: upperQuantile(strangeness, falseRejection),
  });
}

function fitScores(groups: readonly Group[]): LinearScores {
  const rows = groups.flatMap((group) => group.rows);
  const labels = Int32Array.from(groups.flatMap((group, index) => group.rows.map(() => index)));
  const { mean, deviation } = moments(rows);
  const standardized = rows.map((row) => mean.map((value, i) => (row[i]! - value) / deviation[i]!));
  const { weights, biases } = fitSoftmaxRegression(standardized, labels, {
    numClasses: groups.length,
    decay,
  });
  const own = weights.map((row) => row.map((weight, i) => Math.fround(weight / deviation[i]!)));
  return {
    weights: own,
    biases: biases.map((bias, c) =>
      Math.fround(own[c]!.reduce((sum, weight, i) => sum - weight * mean[i]!, bias)),
    ),
  };
}
