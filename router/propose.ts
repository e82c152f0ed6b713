import { moments } from "./discriminant.ts";
import { RouterError } from "./errors.ts";
import { kMeans, nearestCentroid, squaredDistance } from "./k-means.ts";
import type { Clustering } from "./k-means.ts";
import { dot, principalDirections } from "./matrix.ts";

/** Prompts that lie together. */
export interface ProposedGroup {
  /** Indices of its prompts, the most typical first. */
  readonly members: readonly number[];
  /** How clearly it lies apart from the others, 0 to 1. */
  readonly separation: number;
}

export interface ProposeOptions {
  /** @default what separates best, from 2 to 12 */
  readonly numGroups?: number;
  /** @default 1 */
  readonly seed?: number;
}

/** Of each prompt, those directions in which prompts differ most. */
const numDirections = 16;
/** Enough to find the directions with. */
const directionRows = 256;
const mostGroups = 12;
/** Fewer prompts make no task. */
const minGroupRows = 8;

/**
 * Finds groups among prompts of unknown tasks. The same prompts and seed give the same groups.
 * @returns groups by falling size
 * @throws RouterError when there are too few prompts.
 */
export function proposeGroups(
  rows: readonly Float32Array[],
  { numGroups, seed = 1 }: ProposeOptions = {},
): ProposedGroup[] {
  const least = minGroupRows * (numGroups ?? 2);
  if (rows.length < least) {
    throw new RouterError(
      `Expected at least ${least} prompts to find groups in, got ${rows.length}.`,
    );
  }
  const places = reduce(rows);
  const counts =
    numGroups === undefined
      ? Array.from(
          { length: Math.min(mostGroups, Math.floor(rows.length / minGroupRows)) - 1 },
          (_, i) => i + 2,
        )
      : [numGroups];
  let best: { clustering: Clustering; separations: Float64Array; mean: number } | null = null;
  for (const count of counts) {
    const clustering = withoutSmallGroups(places, kMeans(places, count, seed));
    const separations = separationsOf(places, clustering);
    const mean = separations.reduce((sum, value) => sum + value, 0) / places.length;
    if (best === null || mean > best.mean) best = { clustering, separations, mean };
  }
  const { clustering, separations } = best!;
  const { centroids, assignment } = clustering;
  const groups = centroids.flatMap((centroid, group): ProposedGroup[] => {
    const members = Array.from(rows.keys()).filter((row) => assignment[row] === group);
    if (members.length === 0) return [];
    const distance = (row: number): number => squaredDistance(places[row]!, centroid);
    members.sort((a, b) => distance(a) - distance(b) || a - b);
    const sum = members.reduce((total, row) => total + separations[row]!, 0);
    return [{ members, separation: sum / members.length }];
  });
  return groups.sort((a, b) => b.members.length - a.members.length);
}

/** Prompts of groups that are too small for a task go to the nearest other group. */
function withoutSmallGroups(places: readonly Float64Array[], clustering: Clustering): Clustering {
  const sizes = clustering.centroids.map(() => 0);
  for (const group of clustering.assignment) sizes[group]! += 1;
  const centroids = clustering.centroids.filter((_, group) => sizes[group]! >= minGroupRows);
  if (centroids.length === 0) return clustering;
  const nearest = places.map((place) => nearestCentroid(place, centroids));
  return {
    centroids,
    assignment: Int32Array.from(nearest, ({ index }) => index),
    inertia: nearest.reduce((sum, { distance }) => sum + distance, 0),
  };
}

/** Standardised and seen along the widest directions, all of which count the same. */
function reduce(rows: readonly Float32Array[]): Float64Array[] {
  const { mean, deviation } = moments(rows);
  const standardized = rows.map((row) => mean.map((value, i) => (row[i]! - value) / deviation[i]!));
  const step = Math.max(1, Math.floor(rows.length / directionRows));
  const sample = standardized.filter((_, i) => i % step === 0).slice(0, directionRows);
  const directions = principalDirections(sample, numDirections);
  const places = standardized.map((row) =>
    Float64Array.from(directions, (direction) => dot(direction, row)),
  );
  // Between all widths counting and only the widest: divided by the root of the spread.
  const spreads = directions.map((_, k) =>
    Math.sqrt(places.reduce((sum, place) => sum + place[k]! ** 2, 0) / places.length),
  );
  return places.map((place) => place.map((value, k) => value / Math.sqrt(spreads[k]! || 1)));
}

/** Silhouettes by centroids: 1 beside the own one, 0 between two. */
function separationsOf(
  places: readonly Float64Array[],
  { centroids, assignment }: Clustering,
): Float64Array {
  return Float64Array.from(places, (place, row) => {
    const own = Math.sqrt(squaredDistance(place, centroids[assignment[row]!]!));
    let other = Infinity;
    for (const [i, centroid] of centroids.entries()) {
      if (i !== assignment[row]) {
        other = Math.min(other, Math.sqrt(squaredDistance(place, centroid)));
      }
    }
    const larger = Math.max(own, other);
    return larger === 0 || larger === Infinity ? 0 : (other - own) / larger;
  });
}
