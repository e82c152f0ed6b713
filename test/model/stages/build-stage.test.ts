import test from "ava";
import { buildStage } from "../../../model/stages/build-stage.ts";
import type { StageModel } from "../../../model/stages/stage-spec.ts";
import type { StageTensor } from "../../../model/stages/stage-tensor.ts";
import { QUANT_BLOCK_SIZE } from "../../../model/weights/quantize.ts";
import type { WeightFormat } from "../../../model/weights/quantize.ts";
import { dequantize } from "../../helpers/dequantize.ts";
import { tinyModel } from "../../helpers/tiny-model.ts";

const weights = tinyModel({ numLayers: 3, tiedEmbeddings: false });
const { hiddenSize, headDim } = weights.config;

const wholeModel = (format: WeightFormat): StageModel =>
  buildStage(weights, {
    ...{ name: "whole", firstLayer: 0, numLayers: 3, hasEmbedding: true, hasHead: true },
    format,
  });

/** Values of a matrix, `[outFeatures, inFeatures]`, whatever form it is in. */
function plainValues(tensor: StageTensor): number[] {
  if (tensor.kind === "plain") {
    const [columns, rows] = tensor.shape as [number, number];
    return Array.from(
      { length: rows * columns },
      (_, i) => tensor.values[(i % columns) * rows + Math.floor(i / columns)]!,
    );
  }
  const width = Math.ceil(tensor.columns / QUANT_BLOCK_SIZE) * QUANT_BLOCK_SIZE;
  return dequantize(tensor, tensor.rows).filter((_, i) => i % width < tensor.columns);
}

test("a stage has the weights that its specification names, and no others", (t) => {
  const { spec, weights: tensors } = wholeModel("q8");
  const layerNames = spec.layers.flatMap((_, layer) =>
    ["attentionNorm", "qkv", "output", "mlpNorm", "gate_up", "down"].map(
      (name) => `layers.${layer}.${name}`,
    ),
  );
  t.deepEqual([...tensors.keys()], ["embedding", ...layerNames, "final_norm", "lm_head"]);
});

for (const [format, tolerance] of [
  ["f32", 0],
  ["q8", 0.005],
  ["q4", 0.07],
] as const) {
  test(`plain numbers can be made of a stage's weights: ${format}, to ${tolerance} of the largest`, (t) => {
    const { weights: tensors } = wholeModel(format);
    const role = (name: "query" | "key" | "value" | "gate" | "up" | "output" | "down") => [
      ...weights.readLayerTensor(1, name),
    ];
    const scaled = role("query").map((value) => Math.fround(value / Math.sqrt(headDim)));
    for (const [name, expected] of [
      ["qkv", [...scaled, ...role("key"), ...role("value")]],
      ["output", role("output")],
      ["gate_up", [...role("gate"), ...role("up")]],
      ["down", role("down")],
    ] as const) {
      const actual = plainValues(tensors.get(`layers.1.${name}`)!);
      t.is(actual.length, expected.length);
      const largest = expected.reduce((max, value) => Math.max(max, Math.abs(value)), 0);
      const error = expected.reduce(
        (max, value, i) => Math.max(max, Math.abs(value - actual[i]!)),
        0,
      );
      t.true(error <= tolerance * largest, `${name}: ${error / largest}`);
    }
    const norm = tensors.get("layers.1.attentionNorm");
    t.deepEqual(norm, {
      kind: "plain",
      shape: [hiddenSize],
      values: weights.readLayerTensor(1, "attentionNorm"),
    });
  });
}
