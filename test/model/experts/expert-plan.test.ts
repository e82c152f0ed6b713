import test from "ava";
import { ModelLoadError } from "../../../model/errors.ts";
import {
  checkExpertPlan,
  createExpertPlan,
  parseExpertPlan,
  planShapes,
  serializeExpertPlan,
} from "../../../model/experts/expert-plan.ts";
import type { ExpertPlan, LayerPlan } from "../../../model/experts/expert-plan.ts";
import { tinyModel } from "../../helpers/tiny-model.ts";

const model = tinyModel(); // 5 layers, 4 heads on 2 KV heads, 96 channels; one layer in the middle
const range = (length: number) => Array.from({ length }, (_, i) => i);
const dense: LayerPlan = { keptHeads: range(4), keptKvHeads: range(2), keptChannels: range(96) };

function planOf(layer: Partial<LayerPlan> = {}): ExpertPlan {
  return createExpertPlan(model, {
    task: "code",
    recipe: { method: "seap", target: 0.3, protected: null },
    layers: [{ ...dense, ...layer }],
  });
}

test("a plan survives its JSON form, which has a line for each layer", (t) => {
  const plan = planOf({ keptHeads: [1, 2], keptChannels: range(32) });
  const text = serializeExpertPlan(plan);
  t.deepEqual(parseExpertPlan("plan.json", text), plan);
  t.is(text.split("\n").filter((line) => line.includes("keptHeads")).length, 1);
});

test("sparsities are shares of true parameters", (t) => {
  const plan = planOf({ keptHeads: [1], keptKvHeads: [0], keptChannels: range(32) });
  // Per layer: query and output 4, key and value 2 heads of 16; three matrices of 96 channels.
  const layer = 64 * (2 * 16 * (4 + 2) + 3 * 96);
  const removed = layer - 64 * (2 * 16 * (1 + 1) + 3 * 32);
  t.is(plan.sparsity.middle, removed / layer);
  t.is(plan.sparsity.blocks, removed / (5 * layer));
  t.is(plan.sparsity.model, removed / (5 * layer + 256 * 64 + 11 * 64));
  t.deepEqual(planOf().sparsity, { middle: 0, blocks: 0, model: 0 });
});

test("shapes are the numbers of what is kept, 0 for modules that go", (t) => {
  t.deepEqual(planShapes(planOf({ keptHeads: [], keptKvHeads: [], keptChannels: [5, 7] })), [
    { numHeads: 0, numKvHeads: 0, intermediateSize: 2 },
  ]);
});

const broken: readonly (readonly [string, (plan: Record<string, unknown>) => void, RegExp])[] = [
  ["an older schema", (plan) => (plan["schemaVersion"] = 0), /^plan\.json: schemaVersion: /],
  ["a missing field", (plan) => delete plan["task"], /^plan\.json: task: /],
  ["an unknown field", (plan) => (plan["masks"] = []), /masks/],
  [
    "indices out of order",
    (plan) => (plan["layers"] = [{ ...dense, keptHeads: [2, 1] }]),
    /layers\.0\.keptHeads: expected ascending indices/,
  ],
  [
    "an index twice",
    (plan) => (plan["layers"] = [{ ...dense, keptChannels: [1, 1] }]),
    /layers\.0\.keptChannels: expected ascending indices/,
  ],
];

for (const [title, spoil, message] of broken) {
  test(`a plan with ${title} is refused with the field's name`, (t) => {
    const plan = JSON.parse(serializeExpertPlan(planOf())) as Record<string, unknown>;
    spoil(plan);
    t.throws(() => parseExpertPlan("plan.json", JSON.stringify(plan)), {
      instanceOf: ModelLoadError,
      message,
    });
  });
}

test("text that is no JSON is refused", (t) => {
  t.throws(() => parseExpertPlan("plan.json", "{"), { message: /^plan\.json: is not valid JSON/ });
});

test("a plan fits the model it was made for", (t) => {
  t.notThrows(() => checkExpertPlan("plan.json", planOf(), model));
  t.notThrows(() =>
    checkExpertPlan(
      "plan.json",
      planOf({ keptHeads: [], keptKvHeads: [], keptChannels: [] }),
      model,
    ),
  );
});

const misfits: readonly (readonly [string, ExpertPlan, RegExp])[] = [
  ["another model", { ...planOf(), modelHash: "abc" }, /was made for model abc, expected /],
  ["fewer layers", { ...planOf(), layers: [] }, /has 0 layers, expected the 1 of the middle/],
  [
    "more channels",
    planOf({ keptChannels: [0, 96] }),
    /layers\.0\.keptChannels: expected indices below 96, got 96/,
  ],
  ["unequal groups", planOf({ keptHeads: [0, 1, 2] }), /got heads 0, 1, 2 on KV heads 0, 1/],
  [
    "heads without their KV head",
    planOf({ keptHeads: [0, 2], keptKvHeads: [0] }),
    /got heads 0, 2 on KV heads 0$/,
  ],
  [
    "heads but no KV head",
    planOf({ keptHeads: [0], keptKvHeads: [] }),
    /got heads 0 on KV heads $/,
  ],
  ["a KV head without heads", planOf({ keptHeads: [], keptKvHeads: [1] }), /on KV heads 1$/],
];

for (const [title, plan, message] of misfits) {
  test(`a plan with ${title} does not fit`, (t) => {
    t.throws(() => checkExpertPlan("plan.json", plan, model), {
      instanceOf: ModelLoadError,
      message,
    });
  });
}
