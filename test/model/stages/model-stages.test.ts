import test from "ava";
import {
  buildMiddle,
  buildMiddleSegments,
  totalBytes,
} from "../../../model/stages/model-stages.ts";
import { denseShape } from "../../../model/weights/layer-spec.ts";
import type { StageModel } from "../../../model/stages/stage-spec.ts";
import { tinyModel } from "../../helpers/tiny-model.ts";

const full = denseShape(tinyModel().config);
const shapes = [
  full,
  full,
  { numHeads: 0, numKvHeads: 0, intermediateSize: 32 },
  { numHeads: 0, numKvHeads: 0, intermediateSize: 0 },
  full,
];
const weights = tinyModel({ numLayers: 9, layerShapes: [full, full, ...shapes, full, full] });

const weightBytes = (stage: StageModel): number => totalBytes([stage]);

for (const format of ["q8", "q4", "f32"] as const) {
  test(`segments have whole layers, in order, as many as fit: ${format}`, (t) => {
    const whole = buildMiddle(weights, format, { name: "code", shapes });
    const single = buildMiddleSegments(weights, format, { name: "code", shapes });
    t.is(single.length, 1);
    t.deepEqual(single[0]!.weights, whole.weights);
    t.is(totalBytes(single), weightBytes(single[0]!));
    const layer = weightBytes(buildMiddle(tinyModel(), format, { name: "dense" }));
    const maxSegmentBytes = 2.5 * layer;
    const segments = buildMiddleSegments(weights, format, {
      name: "code",
      shapes,
      maxSegmentBytes,
    });
    t.deepEqual(
      segments.map(({ spec }) => [spec.name, spec.layers.map(denseShape)]),
      [
        ["code.0", shapes.slice(0, 4)],
        ["code.1", shapes.slice(4)],
      ],
    );
    for (const segment of segments) t.true(weightBytes(segment) <= maxSegmentBytes);
    t.deepEqual(
      segments.flatMap((segment) => [...segment.weights]),
      [...whole.weights],
    );
  });
}

test("a layer that is too large for a segment is one by itself", (t) => {
  const options = { name: "code", shapes, maxSegmentBytes: 1 };
  const segments = buildMiddleSegments(weights, "q8", options);
  t.deepEqual(
    segments.map(({ spec }) => spec.layers.map(denseShape)),
    shapes.map((shape) => [shape]),
  );
});
