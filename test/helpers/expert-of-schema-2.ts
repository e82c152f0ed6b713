import type { ArtifactFile } from "../../model/experts/artifact-store.ts";
import type { StoredExpert } from "../../model/experts/expert-artifact.ts";
import { serializeExpertPlan } from "../../model/experts/expert-plan.ts";
import { segmentBytes } from "../../model/stages/segment-file.ts";
import { writeStage } from "../../model/graph/stage-graph.ts";
import { denseShape } from "../../model/weights/layer-spec.ts";

/** An expert's artifact as earlier releases wrote it: with the graph of each segment, and no specification. */
export function expertOfSchema2({ plan, segments }: StoredExpert): {
  metadata: unknown;
  files: ArtifactFile[];
} {
  const graphs = segments.map((segment) => writeStage(segment));
  return {
    metadata: {
      schemaVersion: 2,
      segments: segments.map(({ spec }, index) => ({
        name: spec.name,
        layers: spec.layers.map(denseShape),
        headDim: spec.headDim,
        hiddenSize: spec.hiddenSize,
        vocabSize: spec.vocabSize,
        weights: Array.from(graphs[index]!.weights, ([name, { length }]) => ({
          name,
          sizeBytes: length,
        })),
      })),
    },
    files: [
      ["plan.json", [Buffer.from(serializeExpertPlan(plan))]],
      ...segments.flatMap(({ weights }, index): ArtifactFile[] => [
        [`graph-${index}.onnx`, [graphs[index]!.graph]],
        [`weights-${index}.bin`, segmentBytes(weights)],
      ]),
    ],
  };
}
