import test from "ava";
import { ArtifactError } from "../../../model/errors.ts";
import { ArtifactStore } from "../../../model/experts/artifact-store.ts";
import { readExpert } from "../../../model/experts/expert-artifact.ts";
import { createExpertPlan, planShapes } from "../../../model/experts/expert-plan.ts";
import type { LayerPlan } from "../../../model/experts/expert-plan.ts";
import { prunedWeights } from "../../../model/experts/pruned-weights.ts";
import { buildMiddleSegments } from "../../../model/stages/model-stages.ts";
import type { StageModel } from "../../../model/stages/stage-spec.ts";
import type { WeightFormat } from "../../../model/weights/quantize.ts";
import { expertOfSchema2 } from "../../helpers/expert-of-schema-2.ts";
import { stageContent } from "../../helpers/stage-content.ts";
import { tempDir } from "../../helpers/temp-dir.ts";
import { tinyModel } from "../../helpers/tiny-model.ts";

const range = (length: number) => Array.from({ length }, (_, i) => i);
const layerPlan = (heads: number, kvHeads: number, channels: number): LayerPlan => ({
  keptHeads: range(heads),
  keptKvHeads: range(kvHeads),
  keptChannels: range(channels),
});
/** Layers that have all, nothing, only channels, only attention, and widths that fill no block. */
const layers = [
  layerPlan(0, 0, 0),
  layerPlan(2, 1, 33),
  layerPlan(0, 0, 40),
  layerPlan(4, 2, 0),
  layerPlan(4, 2, 96),
];

/** An expert with biases, in a segment for each layer. */
function expertOf(format: WeightFormat, ropeInterleaved: boolean, plans: readonly LayerPlan[]) {
  const weights = tinyModel({ numLayers: plans.length + 4, ropeInterleaved });
  const plan = createExpertPlan(weights, { task: "code", recipe: {}, layers: plans });
  const bias = Float32Array.from({ length: weights.config.hiddenSize }, (_, i) => Math.sin(i));
  const pruned = prunedWeights(weights, plan, () => ({ matrix: null, bias }));
  const shapes = planShapes(plan);
  const options = { name: "code", shapes, maxSegmentBytes: 1 };
  return { plan, segments: buildMiddleSegments(pruned, format, options) };
}

/** With the precision that a graph has of it. */
function withGraphEps({ spec, weights }: StageModel): StageModel {
  return { spec: { ...spec, rmsNormEps: Math.fround(spec.rmsNormEps) }, weights };
}

for (const format of ["q8", "q4", "f32"] as const) {
  for (const ropeInterleaved of [true, false]) {
    const kind = `${format}, ${ropeInterleaved ? "interleaved" : "half-split"} rotary`;
    test(`an expert that was stored with its graphs is read as if without: ${kind}`, async (t) => {
      const expert = expertOf(format, ropeInterleaved, layers);
      const { metadata, files } = expertOfSchema2(expert);
      const store = new ArtifactStore(tempDir(t));
      await store.write("expert-1", metadata, files);
      const read = readExpert((await store.read("expert-1"))!);
      t.deepEqual(read.plan, expert.plan);
      t.deepEqual(
        read.segments.map(stageContent),
        expert.segments.map(withGraphEps).map(stageContent),
      );
    });
  }
}

test("of an expert with graphs that has nothing left, nothing can be told", async (t) => {
  const { metadata, files } = expertOfSchema2(expertOf("q8", true, [layerPlan(0, 0, 0)]));
  const artifact = await new ArtifactStore(tempDir(t)).write("expert-1", metadata, files);
  t.throws(() => readExpert(artifact), {
    instanceOf: ArtifactError,
    message: /no expert of this release: schemaVersion/,
  });
});
