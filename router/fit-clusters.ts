import { fitTemperature, strangenessOf, upperQuantile } from "./calibration.ts";
import { ClusterRouter } from "./cluster-router.ts";
import type { Cluster } from "./cluster-router.ts";
import { fitDiscriminant, project } from "./discriminant.ts";
import type { Projection } from "./discriminant.ts";
import { kMeans, squaredDistance } from "./k-means.ts";
import { groupsOf, splitGroup } from "./training-set.ts";
import type { Group, TrainingSet } from "./training-set.ts";

/** Share of own prompts. */
export const defaultFalseRejection = 0.05;

export interface FitOptions {
  /** Content hash of the model that the features are of. */
  readonly model: string | null;
  /** Share of own prompts that may be turned away, above 0 and below 1. @default 0.05 */
  readonly falseRejection?: number;
  /** Most clusters of a task. @default 4 */
  readonly clustersPerTask?: number;
  /** @default 1 */
  readonly seed?: number;
}

/** Grows when the same prompts give another router. */
export const fitVersion = 2;

/** A cluster of fewer prompts would be about these alone. */
const minClusterRows = 8;

/**
 * Fits a router by clusters. Its threshold and its probabilities are set with a quarter of the prompts while the
 * others are fitted; then all are. The same prompts, options and seed give the same router.
 * @throws RouterError when there are too few tasks or prompts.
 */
export function fitClusterRouter(set: TrainingSet, options: FitOptions): ClusterRouter {
  const { model, falseRejection = defaultFalseRejection } = options;
  const groups = groupsOf(set);
  const parts = groups.map((group) => splitGroup(group));
  const trial = new ClusterRouter({
    model,
    ...place(
      parts.map(({ fitted }) => fitted),
      options,
    ),
    temperature: 1,
    threshold: Infinity,
  });
  const rows: Float64Array[] = [];
  const labels: number[] = [];
  const strangeness: number[] = [];
  for (const { heldOut } of parts) {
    for (const features of heldOut.rows) {
      const position = trial.place(features);
      const distances = trial.distances(
        Float64Array.from(trial.parameters.clusters, ({ centroid }) =>
          squaredDistance(position, centroid),
        ),
      );
      const all = Float64Array.of(...distances.tasks, distances.none);
      rows.push(all);
      const label = heldOut.task === null ? all.length - 1 : trial.tasks.indexOf(heldOut.task);
      labels.push(label);
      if (heldOut.task !== null) strangeness.push(strangenessOf(distances));
    }
  }
  return new ClusterRouter({
    model,
    ...place(groups, options),
    temperature: fitTemperature(rows, labels),
    threshold: upperQuantile(strangeness, falseRejection),
  });
}

function place(groups: readonly Group[], { clustersPerTask = 4, seed = 1 }: FitOptions) {
  const projection = roundProjection(fitDiscriminant(groups.map(({ rows }) => rows)));
  const clusters = groups.flatMap(({ task, rows }, index): Cluster[] => {
    const places = rows.map((row) => project(projection, row));
    const count = Math.max(1, Math.min(clustersPerTask, Math.floor(rows.length / minClusterRows)));
    const { centroids } = kMeans(places, count, seed + index);
    return centroids.map((centroid) => ({ task, centroid: centroid.map(Math.fround) }));
  });
  return { projection, clusters };
}

/** To the precision of the router's file, so that a router decides the same before and after. */
function roundProjection({ center, matrix }: Projection): Projection {
  return {
    center: center.map(Math.fround),
    matrix: matrix.map((direction) => direction.map(Math.fround)),
  };
}
