import { strangenessOf } from "./calibration.ts";
import type { GroupDistances } from "./calibration.ts";
import { project } from "./discriminant.ts";
import type { Projection } from "./discriminant.ts";
import { squaredDistance } from "./k-means.ts";
import { checkFeatures } from "./router.ts";
import type { Decision, NearbyCluster, Router } from "./router.ts";
import { softmax } from "./softmax-regression.ts";

export interface Cluster {
  /** Null for prompts of no task. */
  readonly task: string | null;
  /** In the projected space. */
  readonly centroid: Float64Array;
}

/** What a fitted `clusters` router consists of. */
export interface ClusterParameters {
  readonly model: string | null;
  readonly projection: Projection;
  /** At least one of each task, those of a task together. */
  readonly clusters: readonly Cluster[];
  /** Squared distances are divided by it before a softmax. */
  readonly temperature: number;
  /** Strangeness above which a prompt is none of the tasks'. */
  readonly threshold: number;
}

/** Clusters that a decision names. */
const numNearest = 5;

/** Sends a prompt to the task of the nearest cluster, and away where it is too far or others are nearer. */
export class ClusterRouter implements Router {
  readonly kind = "clusters";
  readonly featureKind = "trunk";
  readonly numFeatures: number;
  readonly tasks: readonly string[];
  readonly model: string | null;
  readonly parameters: ClusterParameters;

  constructor(parameters: ClusterParameters) {
    this.parameters = parameters;
    this.model = parameters.model;
    this.numFeatures = parameters.projection.center.length;
    const tasks = parameters.clusters.flatMap(({ task }) => (task === null ? [] : [task]));
    this.tasks = [...new Set(tasks)].sort();
  }

  route(features: Float32Array): Decision {
    checkFeatures(this, features);
    const { projection, clusters, temperature, threshold } = this.parameters;
    const place = project(projection, features);
    const squared = Float64Array.from(clusters, ({ centroid }) => squaredDistance(place, centroid));
    const distances = this.distances(squared);
    const score = (distance: number): number => -distance / temperature;
    const among = softmax(distances.tasks.map(score));
    const withNone = softmax(Float64Array.of(...distances.tasks, distances.none).map(score));
    const scores = this.tasks
      .map((task, index) => ({ task, probability: among[index]!, index }))
      .sort((a, b) => distances.tasks[a.index]! - distances.tasks[b.index]! || a.index - b.index);
    const [best, second] = scores as [(typeof scores)[0], (typeof scores)[0]?];
    const strangeness = strangenessOf(distances);
    const isMatched = strangeness <= threshold;
    return {
      task: isMatched ? best.task : null,
      confidence: withNone[best.index]!,
      reason: isMatched ? "matched" : "out-of-distribution",
      margin:
        second === undefined
          ? Infinity
          : (distances.tasks[second.index]! - distances.tasks[best.index]!) / temperature,
      strangeness,
      threshold,
      scores: scores.map(({ task, probability }) => ({ task, probability })),
      nearest: this.#nearest(squared),
      place: [...place],
    };
  }

  /** Place in the projected space, for maps. */
  place(features: Float32Array): Float64Array {
    checkFeatures(this, features);
    return project(this.parameters.projection, features);
  }

  /** @param squared distances to the clusters, in their order */
  distances(squared: Float64Array): GroupDistances {
    const tasks = new Float64Array(this.tasks.length).fill(Infinity);
    let none = Infinity;
    for (const [i, { task }] of this.parameters.clusters.entries()) {
      const distance = squared[i]!;
      if (task === null) none = Math.min(none, distance);
      else {
        const index = this.tasks.indexOf(task);
        tasks[index] = Math.min(tasks[index]!, distance);
      }
    }
    return { tasks, none };
  }

  #nearest(squared: Float64Array): NearbyCluster[] {
    const { clusters } = this.parameters;
    const numbers = new Map<string | null, number>();
    const all = clusters.map(({ task }, i) => {
      const cluster = numbers.get(task) ?? 0;
      numbers.set(task, cluster + 1);
      return { task, cluster, distance: Math.sqrt(squared[i]!) };
    });
    return all.sort((a, b) => a.distance - b.distance).slice(0, numNearest);
  }
}
