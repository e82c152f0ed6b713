import { writeFileSync } from "node:fs";
import test from "ava";
import { ArtifactStore, type ArtifactFile } from "../../../model/experts/artifact-store.ts";
import { ArtifactError } from "../../../model/errors.ts";
import {
  expertArtifact,
  expertBuffers,
  readExpert,
  readStoredPlan,
} from "../../../model/experts/expert-artifact.ts";
import { createExpertPlan } from "../../../model/experts/expert-plan.ts";
import { buildMiddleSegments } from "../../../model/stages/model-stages.ts";
import { tensorParts } from "../../../model/stages/stage-tensor.ts";
import type { StageSpec } from "../../../model/stages/stage-spec.ts";
import { writeStage } from "../../../model/graph/stage-graph.ts";
import { stageContent } from "../../helpers/stage-content.ts";
import { tempDir } from "../../helpers/temp-dir.ts";
import { tinyModel } from "../../helpers/tiny-model.ts";

const weights = tinyModel({ numLayers: 6 });
const range = (length: number) => Array.from({ length }, (_, i) => i);
const { numHeads, numKvHeads, intermediateSize } = weights.config;
const layer = {
  keptHeads: range(numHeads),
  keptKvHeads: range(numKvHeads),
  keptChannels: range(intermediateSize),
};
const plan = createExpertPlan(weights, { task: "code", recipe: {}, layers: [layer, layer] });
const segments = buildMiddleSegments(weights, "q8", { name: "code", maxSegmentBytes: 1 });

test("an expert of several segments comes back as it was written", async (t) => {
  const store = new ArtifactStore(tempDir(t));
  const { metadata, files } = expertArtifact({ plan, segments });
  const artifact = await store.write("expert-1", metadata, files);
  t.deepEqual(artifact.fileNames, ["plan.json", "weights-0.bin", "weights-1.bin"]);
  const read = readExpert((await store.read("expert-1"))!);
  t.deepEqual(read.plan, plan);
  t.deepEqual(read.segments.map(stageContent), segments.map(stageContent));
});

test("a segment's specification survives JSON, and is all but the weights that its graph is made of", (t) => {
  for (const { spec, weights: tensors } of segments) {
    const copy = JSON.parse(JSON.stringify(spec)) as StageSpec;
    t.deepEqual(copy, spec);
    t.deepEqual(
      writeStage({ spec: copy, weights: tensors }),
      writeStage({ spec, weights: tensors }),
    );
  }
});

test("a specification with a field that this release does not know is none of it", async (t) => {
  const { metadata, files } = expertArtifact({ plan, segments });
  const [first, ...rest] = metadata.segments;
  const changed = {
    ...metadata,
    segments: [{ ...first, spec: { ...first!.spec, sinks: 4 } }, ...rest],
  };
  const artifact = await new ArtifactStore(tempDir(t)).write("expert-1", changed, files);
  t.throws(() => readExpert(artifact), {
    instanceOf: ArtifactError,
    message: /no expert of this release: segments.0.spec.*sinks/,
  });
});

test("weights that have not the size that the metadata lead to are refused", async (t) => {
  const { metadata, files } = expertArtifact({ plan, segments });
  const others = files.map(([name, content]): ArtifactFile =>
    name === "weights-1.bin" ? [name, [new Uint8Array(64)]] : [name, content],
  );
  const artifact = await new ArtifactStore(tempDir(t)).write("expert-1", metadata, others);
  t.throws(() => readExpert(artifact), {
    instanceOf: ArtifactError,
    message: /weights-1.bin: has not the size of its weights/,
  });
});

test("the plan of an expert is read by itself", async (t) => {
  const store = new ArtifactStore(tempDir(t));
  t.is(await readStoredPlan(store, "expert-1"), null);
  const { metadata, files } = expertArtifact({ plan, segments });
  await store.write("expert-1", metadata, files);
  t.deepEqual(await readStoredPlan(store, "expert-1"), plan);
});

test("what is read can be transferred to another thread, and lies aligned", async (t) => {
  const store = new ArtifactStore(tempDir(t));
  const { metadata, files } = expertArtifact({ plan, segments });
  const read = readExpert(await store.write("expert-1", metadata, files));
  for (const { weights: views } of read.segments) {
    for (const [, { byteOffset }] of [...views.values()].flatMap(tensorParts)) {
      t.is(byteOffset % 64, 0);
    }
  }
  const buffers = expertBuffers(read);
  t.is(buffers.length, 2);
  const moved = structuredClone(read, { transfer: buffers });
  t.true(buffers.every(({ byteLength }) => byteLength === 0));
  t.deepEqual(moved.segments.map(stageContent), segments.map(stageContent));
});

test("an expert of another release is an error that says so", async (t) => {
  const store = new ArtifactStore(tempDir(t));
  const artifact = await store.write("expert-1", { schemaVersion: 1 }, []);
  t.throws(() => readExpert(artifact), {
    instanceOf: ArtifactError,
    message: /no expert of this release: schemaVersion/,
  });
});

test("a damaged segment is found by the store", async (t) => {
  const store = new ArtifactStore(tempDir(t));
  const { metadata, files } = expertArtifact({ plan, segments });
  const artifact = await store.write("expert-1", metadata, files);
  writeFileSync(artifact.path("weights-1.bin"), "short");
  await t.throwsAsync(store.read("expert-1"), { instanceOf: ArtifactError });
});
