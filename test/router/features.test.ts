import test from "ava";
import { generator } from "../../router/k-means.ts";
import { edgeTokens, FeaturePool, meanEmbedding, numTrunkFeatures } from "../../router/features.ts";
import type { PromptSpans } from "../../router/prompt-spans.ts";

const hiddenSize = 3;

function randomHidden(numTokens: number): Float32Array {
  const random = generator(numTokens);
  return Float32Array.from({ length: numTokens * hiddenSize }, () => random() - 0.5);
}

function pooled(hidden: Float32Array, spans: PromptSpans, chunk: number): Float32Array {
  const pool = new FeaturePool(hiddenSize, spans);
  for (let start = 0; start < hidden.length; start += chunk * hiddenSize) {
    pool.add(hidden.subarray(start, start + chunk * hiddenSize));
  }
  return pool.features();
}

test("features do not depend on the chunks that the prompt came in", (t) => {
  const hidden = randomHidden(90);
  const spans = { question: { start: 31, end: 87 }, previous: { start: 4, end: 20 } };
  const whole = pooled(hidden, spans, 90);
  for (const chunk of [1, 7, 16, 31, 64]) t.deepEqual(pooled(hidden, spans, chunk), whole);
});

test("features are mean, spread, mean of both ends and length of the question alone", (t) => {
  const numTokens = 60;
  const hidden = randomHidden(numTokens);
  const question = { start: 10, end: 50 };
  const features = pooled(hidden, { question, previous: null }, numTokens);
  t.is(features.length, numTrunkFeatures(hiddenSize));
  const mean = (start: number, end: number, i: number, power = 1): number => {
    let sum = 0;
    for (let token = start; token < end; token++) sum += hidden[token * hiddenSize + i]! ** power;
    return sum / (end - start);
  };
  const near = (actual: number | undefined, expected: number): void => {
    t.true(Math.abs(actual! - expected) < 1e-6);
  };
  for (let i = 0; i < hiddenSize; i++) {
    const own = mean(10, 50, i);
    near(features[i], own);
    near(features[hiddenSize + i], Math.sqrt(mean(10, 50, i, 2) - own * own));
    near(features[2 * hiddenSize + i], mean(10, 10 + edgeTokens, i));
    near(features[3 * hiddenSize + i], mean(50 - edgeTokens, 50, i));
  }
  near(features[4 * hiddenSize], Math.log1p(40));
});

test("what stands before and behind the question does not change its features", (t) => {
  const [a, b] = [randomHidden(40), randomHidden(40)];
  for (let i = 0; i < a.length; i++) {
    const token = Math.floor(i / hiddenSize);
    if (token >= 12 && token < 30) b[i] = a[i]!;
  }
  const spans = { question: { start: 12, end: 30 }, previous: null };
  t.deepEqual(pooled(a, spans, 40), pooled(b, spans, 40));
});

test("the message before weighs more the shorter the question is", (t) => {
  const shift = (questionLength: number): number => {
    const total = 20 + questionLength;
    const hidden = new Float32Array(total * hiddenSize);
    hidden.fill(1, 0, 20 * hiddenSize); // of the message before; the question is 0
    const spans = {
      question: { start: 20, end: total },
      previous: { start: 0, end: 20 },
    };
    return pooled(hidden, spans, total)[0]!;
  };
  t.true(shift(3) > 0.5);
  t.true(shift(100) < 0.1);
});

test("a pool is complete once the question has passed", (t) => {
  const pool = new FeaturePool(hiddenSize, { question: { start: 2, end: 6 }, previous: null });
  pool.add(randomHidden(5));
  t.false(pool.isComplete);
  pool.add(randomHidden(1));
  t.true(pool.isComplete);
});

test("the baseline's features are the mean of the question's embeddings", (t) => {
  const embedding = Float32Array.of(0, 0, 0, 1, 2, 3, 5, 6, 7);
  const spans = { question: { start: 1, end: 3 }, previous: null };
  const mean = meanEmbedding(embedding, hiddenSize, Uint32Array.of(0, 1, 2, 0), spans);
  t.deepEqual([...mean], [3, 4, 5]);
});
