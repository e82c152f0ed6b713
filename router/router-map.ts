import type { ClusterRouter } from "./cluster-router.ts";
import { meanOf } from "./k-means.ts";
import { dot, principalDirections } from "./matrix.ts";
import type { Router } from "./router.ts";

export type MapPosition = readonly [x: number, y: number];

export interface MapCluster {
  /** Null for prompts of no task. */
  readonly task: string | null;
  readonly position: MapPosition;
}

/** A router's space as people can look at it: from where the tasks' clusters lie farthest apart. */
export class RouterMap {
  readonly clusters: readonly MapCluster[];
  /** Of what the tasks' clusters lie apart, squared: as much is to be seen. 0 to 1. */
  readonly share: number;
  readonly #middle: Float64Array;
  readonly #axes: readonly Float64Array[];

  constructor({ parameters: { clusters } }: ClusterRouter) {
    const centroids = clusters.flatMap(({ task, centroid }) => (task === null ? [] : [centroid]));
    const middle = meanOf(centroids);
    const apart = centroids.map((centroid) => centroid.map((value, i) => value - middle[i]!));
    this.#middle = middle;
    this.#axes = principalDirections(apart, 2);
    const seen = sumOf(apart, (row) => sumOf(this.#axes, (axis) => dot(axis, row) ** 2));
    const all = sumOf(apart, (row) => dot(row, row));
    this.share = all === 0 ? 1 : Math.min(1, seen / all);
    this.clusters = clusters.map(({ task, centroid }) => ({
      task,
      position: this.position(centroid),
    }));
  }

  /** @param place of a prompt, as in its {@link Decision} */
  position(place: ArrayLike<number>): MapPosition {
    const apart = this.#middle.map((value, i) => place[i]! - value);
    const [x = 0, y = 0] = this.#axes.map((axis) => dot(axis, apart));
    return [x, y];
  }
}

/** Null where a router has no space that could be looked at. */
export function createRouterMap(router: Router): RouterMap | null {
  return router.kind === "clusters" ? new RouterMap(router as ClusterRouter) : null;
}

function sumOf<Item>(items: readonly Item[], value: (item: Item) => number): number {
  return items.reduce((sum, item) => sum + value(item), 0);
}
