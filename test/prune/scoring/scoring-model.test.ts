import test from "ava";
import type { ExecutionContext } from "ava";
import { ModelRunner } from "../../../engine/run/model-runner.ts";
import { buildMiddle, buildMiddleSegments } from "../../../model/stages/model-stages.ts";
import { denseShape } from "../../../model/weights/layer-spec.ts";
import type { StageModel } from "../../../model/stages/stage-spec.ts";
import type { ModelWeights } from "../../../model/weights/config.ts";
import { ScoringModel } from "../../../prune/scoring/scoring-model.ts";
import type { ScoredSequence } from "../../../prune/scoring/scoring-batches.ts";
import { GivenTokens } from "../../helpers/given-tokens.ts";
import { loadModel } from "../../helpers/loop-run.ts";
import { plainForward } from "../../helpers/plain-forward.ts";
import { somePrompt } from "../../helpers/requests.ts";
import { tinyModel } from "../../helpers/tiny-model.ts";
import type { TinyModelOptions } from "../../helpers/tiny-model.ts";

async function load(t: ExecutionContext, weights: ModelWeights): Promise<ScoringModel> {
  const model = await ScoringModel.load(weights, { format: "f32", numThreads: 1 });
  t.teardown(() => model.release());
  return model;
}

async function loadMiddle(t: ExecutionContext, model: ScoringModel, ...segments: StageModel[]) {
  const middle = await model.loadMiddle(segments);
  t.teardown(() => middle.release());
  return middle;
}

function sequence(tokenIds: readonly number[], firstScored: number): ScoredSequence {
  return { tokenIds: Uint32Array.from(tokenIds), firstScored };
}

/** Log-probabilities of the whole vocabulary after each token, and the likeliest token's index. */
function plainRows(weights: ModelWeights, tokenIds: Uint32Array, shapes?: TinyModelOptions) {
  const { vocabSize } = weights.config;
  const options = shapes?.layerShapes ? { layerShapes: shapes.layerShapes } : {};
  const logits = plainForward(weights, tokenIds, options);
  return Array.from(tokenIds, (_, token) => {
    const row = Array.from(logits.subarray(token * vocabSize, (token + 1) * vocabSize));
    const largest = Math.max(...row);
    const sum = row.reduce((total, value) => total + Math.exp(value - largest), 0);
    const logProbs = row.map((value) => value - largest - Math.log(sum));
    return { logProbs, top: row.indexOf(largest) };
  });
}

/** Two questions of some choices, a text, and choices of which one is the beginning of another. */
const groups = [
  [
    sequence([5, 17, 99, 3, 42, 8], 4),
    sequence([5, 17, 99, 3, 7], 4),
    sequence([5, 17, 99, 3, 42, 9, 200, 1], 4),
  ],
  [sequence([11, 12, 13], 2), sequence([11, 12, 14], 2)],
  [sequence([1, 2, 3, 4, 5, 6, 7, 8, 9], 1)],
  [sequence([30, 31, 32], 1), sequence([40, 31, 32], 2)],
  [sequence([50, 51, 52, 53], 2), sequence([50, 51], 1)],
];

test("choices side by side get the log-likelihood that each gets alone in a plain forward pass", async (t) => {
  const weights = tinyModel();
  const model = await load(t, weights);
  const middle = await loadMiddle(t, model, buildMiddle(weights, "f32", { name: "dense" }));
  const prepared = model.prepare(groups);
  t.is(prepared.batches.length, 1);
  const { scores } = await model.score(prepared, middle);
  for (const [index, { tokenIds, firstScored }] of groups.flat().entries()) {
    const rows = plainRows(weights, tokenIds);
    let [logProb, numTop] = [0, 0];
    for (let target = firstScored; target < tokenIds.length; target++) {
      const { logProbs, top } = rows[target - 1]!;
      logProb += logProbs[tokenIds[target]!]!;
      numTop += Number(top === tokenIds[target]);
    }
    const score = scores[index]!;
    t.is(score.numTokens, tokenIds.length - firstScored);
    t.is(score.numTop, numTop);
    t.true(Math.abs(score.logProb - logProb) < 1e-4, `${score.logProb} is not ${logProb}`);
  }
});

test("what is common to the choices of a question is computed once", async (t) => {
  const model = await load(t, tinyModel());
  const question = [sequence([1, 2, 3, 4, 5], 4), sequence([1, 2, 3, 4, 6], 4)];
  t.is(model.prepare([question]).numTokens, 4);
});

test("a pruned middle compared with dense has the KL and agreement of plain forward passes", async (t) => {
  const { config } = tinyModel();
  const dense = denseShape(config);
  const pruned = { numHeads: 2, numKvHeads: 1, intermediateSize: 32 };
  const layerShapes = [dense, dense, pruned, dense, dense];
  const [weights, thin] = [tinyModel(), tinyModel({ layerShapes })];
  const model = await load(t, weights);
  const denseMiddle = await loadMiddle(t, model, buildMiddle(weights, "f32", { name: "dense" }));
  const stage = buildMiddle(thin, "f32", { name: "expert", shapes: [pruned] });
  const thinMiddle = await loadMiddle(t, model, stage);
  const prepared = model.prepare(groups);
  const { states } = await model.score(prepared, denseMiddle);
  const { scores } = await model.score(prepared, thinMiddle, { reference: states });
  for (const [index, { tokenIds, firstScored }] of groups.flat().entries()) {
    const before = plainRows(weights, tokenIds);
    const after = plainRows(thin, tokenIds, { layerShapes });
    let [kl, numAgreeing] = [0, 0];
    for (let row = firstScored - 1; row < tokenIds.length - 1; row++) {
      const { logProbs, top } = before[row]!;
      for (const [id, logProb] of logProbs.entries()) {
        kl += Math.exp(logProb) * (logProb - after[row]!.logProbs[id]!);
      }
      numAgreeing += Number(top === after[row]!.top);
    }
    t.true(Math.abs(scores[index]!.kl! - kl) < 1e-3 * Math.max(1, kl));
    t.is(scores[index]!.numAgreeing, numAgreeing);
  }
});

test("dense compared with itself has a KL of 0 and agrees everywhere", async (t) => {
  const weights = tinyModel();
  const model = await load(t, weights);
  const middle = await loadMiddle(t, model, buildMiddle(weights, "f32", { name: "dense" }));
  const prepared = model.prepare(groups);
  const { states, scores: alone } = await model.score(prepared, middle);
  const { scores } = await model.score(prepared, middle, { reference: states });
  for (const [index, { kl, numAgreeing, numTokens, logProb }] of scores.entries()) {
    t.true(Math.abs(kl!) < 1e-6);
    t.is(numAgreeing, numTokens);
    t.true(Math.abs(logProb - alone[index]!.logProb) < 1e-5);
    t.is(alone[index]!.kl, null);
  }
});

test("a middle without any attention can be scored", async (t) => {
  const weights = tinyModel();
  const shapes = [{ numHeads: 0, numKvHeads: 0, intermediateSize: 96 }];
  const model = await load(t, weights);
  const middle = await loadMiddle(t, model, buildMiddle(weights, "f32", { name: "mlp", shapes }));
  const { scores } = await model.score(model.prepare(groups), middle);
  t.true(scores.every(({ logProb }) => Number.isFinite(logProb) && logProb < 0));
});

test("scoring ends with the signal's reason", async (t) => {
  const weights = tinyModel();
  const model = await load(t, weights);
  const middle = await loadMiddle(t, model, buildMiddle(weights, "f32", { name: "dense" }));
  const signal = AbortSignal.abort(new Error("enough"));
  await t.throwsAsync(model.score(model.prepare(groups), middle, { signal }), {
    message: "enough",
  });
});

for (const format of ["f32", "q8", "q4"] as const) {
  test(`a middle in segments scores exactly as in one session: ${format}`, async (t) => {
    const weights = tinyModel({ numLayers: 9 });
    const shapes = [
      denseShape(weights.config),
      { numHeads: 0, numKvHeads: 0, intermediateSize: 96 },
      denseShape(weights.config),
      { numHeads: 0, numKvHeads: 0, intermediateSize: 0 },
      denseShape(weights.config),
    ];
    const model = await ScoringModel.load(weights, { format, numThreads: 1 });
    t.teardown(() => model.release());
    const prepared = model.prepare(groups);
    const whole = buildMiddle(weights, format, { name: "expert", shapes });
    const expected = await model.score(prepared, await loadMiddle(t, model, whole));
    const options = { name: "expert", shapes, maxSegmentBytes: 1 };
    const segments = buildMiddleSegments(weights, format, options);
    t.is(segments.length, shapes.length);
    const middle = await loadMiddle(t, model, ...segments);
    t.deepEqual(await model.score(prepared, middle), expected);
  });
}

for (const format of ["f32", "q8", "q4"] as const) {
  test(`what is judged is what is served: ${format}`, async (t) => {
    const weights = tinyModel({ seed: 3 });
    const { vocabSize } = weights.config;
    const served = await loadModel(t, weights, format);
    const runner = new ModelRunner({ ...served, prefillChunk: 64 });
    const model = await ScoringModel.load(weights, { format, numThreads: 1 });
    t.teardown(() => model.release());
    const dense = buildMiddle(weights, format, { name: "dense" });
    const text = sequence(somePrompt(40), 1);
    const prepared = model.prepare([[text]]);
    const { scores } = await model.score(prepared, await loadMiddle(t, model, dense));
    const tokens = new GivenTokens([...text.tokenIds]);
    const options = { middle: "dense", chunk: 64, from: 0 };
    await runner.score(tokens, options);
    const step = await runner.score(tokens, options);
    const logits = step.kind === "logits" ? step.logits : t.fail();
    runner.release(tokens);
    let logProb = 0;
    for (let target = 1; target < text.tokenIds.length; target++) {
      const row = logits.subarray((target - 1) * vocabSize, target * vocabSize);
      const sum = row.reduce((total, value) => total + Math.exp(value), 0);
      logProb += row[text.tokenIds[target]!]! - Math.log(sum);
    }
    t.true(Math.abs(scores[0]!.logProb - logProb) < 1e-3, `${scores[0]!.logProb}, ${logProb}`);
  });
}
