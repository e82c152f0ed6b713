import { ClusterRouter } from "../../router/cluster-router.ts";
import { numTrunkFeatures } from "../../router/features.ts";

/** Sends every prompt to one task: it has a single cluster, and nothing is too far from it. */
export function oneTaskRouter(task: string, hiddenSize: number): ClusterRouter {
  const numFeatures = numTrunkFeatures(hiddenSize);
  return new ClusterRouter({
    model: null,
    projection: { center: new Float64Array(numFeatures), matrix: [new Float64Array(numFeatures)] },
    clusters: [{ task, centroid: new Float64Array(1) }],
    temperature: 1,
    threshold: Infinity,
  });
}
