import test from "ava";
import { buildHead, buildMiddle, buildTrunk } from "../../model/stages/model-stages.ts";
import { continuedAttention } from "../../runtime/attention-feeds.ts";
import { RuntimeError } from "../../runtime/errors.ts";
import { pastFeeds } from "../../runtime/past-feeds.ts";
import { AttentionKinds } from "../../runtime/attention-kinds.ts";
import { StageSession } from "../../runtime/stage-session.ts";
import { brokenStage } from "../helpers/broken-stage.ts";
import { tinyModel } from "../helpers/tiny-model.ts";

const weights = tinyModel();
const { hiddenSize, headDim, numKvHeads, vocabSize } = weights.config;
const kinds = new AttentionKinds(weights.config);
const ids = BigInt64Array.of(5n, 9n, 2n);
const whole = continuedAttention(kinds, {
  ...{ pastLengths: [0], tailStarts: [0], numNewTokens: 3 },
  ...{ capacity: 0, tailLength: 3 },
});

test("a stage gives what is asked for: hidden states, logits of rows, keys and values to keep", async (t) => {
  const trunk = await StageSession.load(buildTrunk(weights, "f32"), 1);
  const head = await StageSession.load(buildHead(weights, "f32"), 1);
  t.teardown(() => Promise.all([trunk.release(), head.release()]));
  t.is(trunk.spec.name, "trunk");

  const alone = await trunk.run({ input: ids, attention: whole });
  t.deepEqual(Object.keys(alone.observed), ["hidden_out"]);
  t.is(alone.hidden.length, 3 * hiddenSize);

  const layers = [0, 1].map((index) => ({
    ...{ index, numKvHeads },
    ...{ keys: new Float32Array(0), values: new Float32Array(0) },
    tail: new Float32Array(2 * numKvHeads * 3 * headDim),
  }));
  const past = pastFeeds(layers, { numSequences: 1, headDim, capacity: 0, tailLength: 3 });
  const kept = await trunk.run({ input: ids, attention: whole, past });
  t.deepEqual(kept.hidden, alone.hidden);
  t.is(kept.newKv!.length, 2 * 2 * numKvHeads * 3 * headDim);

  const rows = { kept: [0, 2], logits: [1] };
  const last = await head.run({ input: alone.hidden, attention: whole, rows });
  t.is(last.hidden.length, 2 * hiddenSize);
  t.is(last.logits!.length, vocabSize);
});

test("a stage without attention needs nothing of what attention is fed", async (t) => {
  const shapes = [{ numHeads: 0, numKvHeads: 0, intermediateSize: 96 }];
  const middle = await StageSession.load(buildMiddle(weights, "q8", { name: "mlp", shapes }), 1);
  t.teardown(() => middle.release());
  const hidden = new Float32Array(3 * hiddenSize).fill(1);
  t.is((await middle.hiddenAfter(hidden, whole)).length, hidden.length);
});

test("what ONNX Runtime refuses is a RuntimeError with the stage's name", async (t) => {
  const broken = brokenStage(buildTrunk(weights, "q8"));
  await t.throwsAsync(StageSession.load(broken, 1), {
    instanceOf: RuntimeError,
    message: /^Stage trunk could not be loaded: /,
  });
  const trunk = await StageSession.load(buildTrunk(weights, "q8"), 1);
  const beyond = BigInt64Array.of(BigInt(vocabSize), 0n, 0n);
  await t.throwsAsync(trunk.hiddenAfter(beyond, whole), {
    instanceOf: RuntimeError,
    message: /^Stage trunk failed: /,
  });
  await trunk.release();
  await trunk.release();
  await t.throwsAsync(trunk.hiddenAfter(ids, whole), {
    instanceOf: RuntimeError,
    message: "Stage trunk was released.",
  });
});
