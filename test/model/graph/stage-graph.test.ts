import test from "ava";
import type { ExecutionContext } from "ava";
import * as ort from "onnxruntime-node";
import {
  buildHead,
  buildMiddle,
  buildTrunk,
  stageBorders,
  totalBytes,
} from "../../../model/stages/model-stages.ts";
import { writeStage } from "../../../model/graph/stage-graph.ts";
import { denseShape } from "../../../model/weights/layer-spec.ts";
import type { StageModel } from "../../../model/stages/stage-spec.ts";
import { tinyModel } from "../../helpers/tiny-model.ts";

async function open(t: ExecutionContext, model: StageModel): Promise<ort.InferenceSession> {
  const { graph, weights } = writeStage(model);
  const session = await ort.InferenceSession.create(graph, {
    externalData: Array.from(weights, ([path, data]) => ({ path, data })),
  });
  t.teardown(() => session.release());
  return session;
}

const attentionFeeds = [
  ...["cos", "mask", "query_rows", "rotary_rows.4.2"],
  ...["score_split", "sin", "tail_start"],
];
const pastFeeds = (...layers: number[]) =>
  ["past_k", "past_v", "tail"].flatMap((name) => layers.map((layer) => `${name}.${layer}`));

test("the trunk takes token ids, the middle hidden states, the head gives logits of rows", async (t) => {
  const weights = tinyModel();
  const trunk = await open(t, buildTrunk(weights, "q8"));
  t.deepEqual(
    trunk.inputNames.toSorted(),
    [...attentionFeeds, ...pastFeeds(0, 1), "token_ids"].toSorted(),
  );
  t.deepEqual(trunk.outputNames.toSorted(), ["hidden_out", "new_kv"]);

  const middle = await open(t, buildMiddle(weights, "q8", { name: "dense" }));
  t.deepEqual(
    middle.inputNames.toSorted(),
    [...attentionFeeds, ...pastFeeds(0), "hidden"].toSorted(),
  );

  const head = await open(t, buildHead(weights, "q8"));
  t.deepEqual(
    head.inputNames.toSorted(),
    [
      ...[...attentionFeeds, ...pastFeeds(0, 1), "hidden", "rows", "logit_rows"],
      ...["kept_mask", "kept_query_rows"],
    ].toSorted(),
  );
  t.deepEqual(head.outputNames.toSorted(), ["hidden_out", "logits", "new_kv"]);
});

test("a pruned middle has its own widths, and modules of width 0 are left out", async (t) => {
  const shapes = [
    { numHeads: 0, numKvHeads: 0, intermediateSize: 32 },
    { numHeads: 2, numKvHeads: 1, intermediateSize: 0 },
    { numHeads: 4, numKvHeads: 2, intermediateSize: 64 },
  ];
  const { config } = tinyModel({ numLayers: 7 });
  const dense = [denseShape(config), denseShape(config)];
  const weights = tinyModel({ numLayers: 7, layerShapes: [...dense, ...shapes, ...dense] });
  const middle = buildMiddle(weights, "f32", { name: "expert", shapes });
  t.is(middle.spec.name, "expert");
  t.deepEqual(middle.spec.layers.map(denseShape), shapes);
  const session = await open(t, middle);
  t.deepEqual(
    session.inputNames.toSorted(),
    [...attentionFeeds, "rotary_rows.2.1", ...pastFeeds(1, 2), "hidden"].toSorted(),
  );
  const floats = (...sizes: number[]) => sizes.reduce((sum, size) => sum + size) * 4;
  // hidden 64, heads of 16; norms, MLP and attention of each layer
  const expected = floats(
    64 + 3 * 64 * 32,
    64 + 64 * (2 + 1 + 1) * 16 + 2 * 16 * 64,
    2 * 64 + 64 * (4 + 2 + 2) * 16 + 4 * 16 * 64 + 3 * 64 * 64,
  );
  t.is(totalBytes([middle]), expected);
});

test("a middle without attention needs no positions, no mask and no KV", async (t) => {
  const none = { numHeads: 0, numKvHeads: 0, intermediateSize: 96 };
  const weights = tinyModel();
  const session = await open(t, buildMiddle(weights, "q8", { name: "mlp", shapes: [none] }));
  t.deepEqual(session.inputNames, ["hidden"]);
  t.deepEqual(session.outputNames, ["hidden_out"]);
});

test("8-bit weights take a good quarter of the bytes of fp32, 4-bit ones a sixth or less", (t) => {
  const weights = tinyModel({ hiddenSize: 256, intermediateSize: 512 });
  const size = (format: "f32" | "q8" | "q4") =>
    totalBytes([buildMiddle(weights, format, { name: "dense" })]);
  t.true(size("q8") < 0.3 * size("f32"));
  t.true(size("q4") < 0.2 * size("f32"));
});

test("graphs are kilobytes: all weights lie beside them", (t) => {
  const model = buildHead(tinyModel({ hiddenSize: 256, vocabSize: 4096 }), "q8");
  t.true(writeStage(model).graph.length < 12_000);
});

test("trunk and head have two layers each, fewer in models of fewer than five", (t) => {
  const borders = [1, 2, 3, 4, 5, 30].map((numLayers) => {
    const { middle, head } = stageBorders({ ...tinyModel().config, numLayers });
    return [middle, head];
  });
  t.deepEqual(borders, [
    [0, 1],
    [0, 2],
    [1, 2],
    [1, 3],
    [2, 3],
    [2, 28],
  ]);
});
