import test from "ava";
import type { ExecutionContext } from "ava";
import { ArtifactStore } from "../../../model/experts/artifact-store.ts";
import { readExpert } from "../../../model/experts/expert-artifact.ts";
import { buildMiddle, totalBytes } from "../../../model/stages/model-stages.ts";
import { buildExpert } from "../../../prune/experts/build-expert.ts";
import { calibrate } from "../../../prune/calibration/calibrate.ts";
import {
  knownReport,
  readReport,
  reportKey,
  reportOn,
} from "../../../prune/experts/expert-report.ts";
import { HeldOutJudge } from "../../../prune/experts/held-out-judge.ts";
import type { ProfileSource } from "../../../prune/calibration/profile-source.ts";
import { plainForward } from "../../helpers/plain-forward.ts";
import { tempDir } from "../../helpers/temp-dir.ts";
import { tinyModel } from "../../helpers/tiny-model.ts";

const weights = tinyModel({ numLayers: 6, intermediateSize: 256 });
const { vocabSize } = weights.config;

const sequence = (seed: number, length: number): Uint32Array =>
  Uint32Array.from({ length }, (_, i) => (i * i * 7 + i * 31 + seed * 101) % vocabSize);

const heldOut = [20, 30, 25, 40, 33].map((length, i) => ({
  tokenIds: sequence(100 + i, length),
  firstScored: 5 + i,
}));

function judgeOf(t: ExecutionContext, texts = heldOut) {
  const judge = new HeldOutJudge(weights, texts, { format: "f32", numThreads: 1 });
  t.teardown(() => judge.release());
  return judge;
}

async function expertOf(t: ExecutionContext, target: number) {
  const store = new ArtifactStore(tempDir(t));
  const texts = Array.from({ length: 12 }, (_, seed) => sequence(seed, 60));
  const recipe = { format: "f32", withComoment: true } as const;
  const profile = await calibrate(weights, texts, store, { recipe, numThreads: 1 });
  const profiles: ProfileSource = {
    tasks: ["math"],
    profileOf: () => Promise.resolve(profile),
    general: () => Promise.resolve(profile),
  };
  const options = { task: "math", method: "seap", target, format: "f32", numThreads: 1 } as const;
  const { artifact, buildSeconds } = await buildExpert(weights, profiles, store, options);
  return { store, expert: { key: artifact.key, ...readExpert(artifact) }, buildSeconds };
}

test("losses are those of a plain forward pass over the tokens that count", async (t) => {
  const judge = judgeOf(t);
  const { denseLoss, loss, lossIncrease, kl, topAgreement, denseBytes } = await judge.judge([
    buildMiddle(weights, "f32", { name: "dense" }),
  ]);
  let [expected, numTokens] = [0, 0];
  for (const { tokenIds, firstScored } of heldOut) {
    const logits = plainForward(weights, tokenIds);
    for (let at = firstScored; at < tokenIds.length; at++) {
      const row = logits.subarray((at - 1) * vocabSize, at * vocabSize);
      const sum = row.reduce((total, logit) => total + Math.exp(logit), 0);
      expected += Math.log(sum) - row[tokenIds[at]!]!;
      numTokens += 1;
    }
  }
  t.is(judge.numTokens, numTokens);
  t.is(judge.numSequences, heldOut.length);
  t.true(Math.abs(denseLoss - expected / numTokens) < 1e-4, `${denseLoss}`);
  t.is(loss, denseLoss);
  t.deepEqual(lossIncrease, { value: 0, low: 0, high: 0 });
  t.true(Math.abs(kl.value) < 1e-5);
  t.is(topAgreement.value, 1);
  t.true(denseBytes > 0);
});

test("a report has what the expert costs and saves, and is kept beside it", async (t) => {
  const { store, expert: made, buildSeconds } = await expertOf(t, 0.4);
  const build = { calibrationTokens: 720, buildSeconds };
  const report = await reportOn(store, made, judgeOf(t), build);
  const { key, plan, segments } = made;
  t.is(report.expert, key);
  t.deepEqual(report.sparsity, plan.sparsity);
  t.deepEqual(report.recipe, plan.recipe);
  t.is(report.bytes.expert, totalBytes(segments));
  t.true(report.bytes.expert < report.bytes.dense);
  const { dense, expert, lossIncrease, kl } = report.heldOut;
  t.is(expert.perplexity, Math.exp(expert.loss));
  t.true(Math.abs(lossIncrease.value - (expert.loss - dense.loss)) < 1e-9);
  t.true(lossIncrease.low <= lossIncrease.value && lossIncrease.value <= lossIncrease.high);
  t.true(kl.value > 0 && kl.low > 0);
  t.true((await store.keys()).includes(reportKey(key)));
  t.deepEqual(await readReport(store, key), report);
});

test("a report is known by the texts that it is of", async (t) => {
  const { store, expert, buildSeconds } = await expertOf(t, 0.4);
  const { key, segments } = expert;
  t.is(await knownReport(store, key, judgeOf(t)), null);
  const first = await reportOn(store, expert, judgeOf(t), { calibrationTokens: 720, buildSeconds });
  const progress: number[] = [];
  const readers = new Set<string>();
  const counting = new HeldOutJudge(weights, heldOut, {
    format: "f32",
    numThreads: 1,
    onProgress: (reader, done, total) => {
      readers.add(reader);
      progress.push(done / total);
    },
  });
  t.teardown(() => counting.release());
  t.deepEqual(await knownReport(store, key, counting), first);
  t.deepEqual(progress, []);
  await counting.judge(segments);
  t.deepEqual([...readers], ["dense", "expert"]);
  t.is(progress.filter((share) => share === 1).length, 2);
  t.true(progress.every((share) => share > 0 && share <= 1));
  const fewer = judgeOf(t, heldOut.slice(1));
  t.is(await knownReport(store, key, fewer), null);
  const again = { calibrationTokens: 720, buildSeconds: null };
  const other = await reportOn(store, expert, fewer, again);
  t.is(other.heldOut.numSequences, heldOut.length - 1);
  t.is(other.buildSeconds, buildSeconds);
  t.deepEqual(await knownReport(store, key, fewer), other);
});

test("a report of another release is none", async (t) => {
  const store = new ArtifactStore(tempDir(t));
  await store.write("report-1", { schemaVersion: 0 }, []);
  t.is(await readReport(store, "expert-1"), null);
  t.is(await readReport(store, "expert-2"), null);
});
