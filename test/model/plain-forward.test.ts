import { readFileSync } from "node:fs";
import test from "ava";
import { keepTensors } from "../helpers/keep-tensors.ts";
import { plainForward, plainGreedy, plainNextTokens } from "../helpers/plain-forward.ts";
import { tinyModel, type TinyModelOptions } from "../helpers/tiny-model.ts";

interface ReferenceCase {
  readonly title: string;
  readonly options: TinyModelOptions;
  readonly tokenIds: readonly number[];
  /** `[numTokens, vocabSize]`, rounded to 5 decimals. */
  readonly logits: readonly number[];
  /** The most likely tokens after `tokenIds`. */
  readonly greedy: readonly number[];
}

// Made by plain-forward.py beside it, with Hugging Face transformers in double precision.
const cases = JSON.parse(
  readFileSync("test/fixtures/plain-forward.json", "utf8"),
) as readonly ReferenceCase[];

function largestDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  return Math.max(...Array.from(a, (value, index) => Math.abs(value - b[index]!)));
}

for (const { title, options, tokenIds, logits, greedy } of cases) {
  test(`the plain forward pass gives the logits and tokens of transformers: ${title}`, (t) => {
    const weights = tinyModel(options);
    const actual = plainForward(weights, tokenIds, options);
    t.is(actual.length, logits.length);
    t.true(largestDifference(actual, logits) < 5e-5);
    t.deepEqual(plainGreedy(weights, tokenIds, greedy.length, options), greedy);
  });
}

test("one pass over a greedy answer predicts each of its tokens", (t) => {
  const weights = tinyModel();
  const prompt = [1, 2, 3];
  const answer = plainGreedy(weights, prompt, 12);
  const next = plainNextTokens(weights, [...prompt, ...answer]);
  t.deepEqual(next.slice(prompt.length - 1, -1), answer);
});

test("later tokens do not change the logits of earlier ones", (t) => {
  const weights = tinyModel();
  const whole = plainForward(weights, [1, 2, 3, 4, 5]);
  const part = plainForward(weights, [1, 2, 3]);
  t.deepEqual(whole.subarray(0, part.length), part);
});

test("a layer of width 0 passes its input on", (t) => {
  const none = { numHeads: 0, numKvHeads: 0, intermediateSize: 0 };
  const all = { numHeads: 4, numKvHeads: 2, intermediateSize: 96 };
  const oneLayer = tinyModel({ numLayers: 1 });
  const twoLayers = tinyModel({ numLayers: 2, layerShapes: [all, none] });
  const tokenIds = [7, 8, 9];
  t.deepEqual(
    plainForward(twoLayers, tokenIds, { layerShapes: [all, none] }),
    plainForward(oneLayer, tokenIds),
  );
});

test("kept tensors give the same logits and are read once", (t) => {
  const weights = tinyModel();
  const reads: string[] = [];
  const kept = keepTensors({
    ...weights,
    readTensor: (role) => {
      reads.push(role);
      return weights.readTensor(role);
    },
  });
  const logits = plainForward(kept, [1, 2, 3]);
  t.deepEqual(plainForward(kept, [1, 2, 3]), logits);
  t.deepEqual(logits, plainForward(weights, [1, 2, 3]));
  t.deepEqual(reads, ["embedding", "finalNorm"]);
});

test("the most likely token of a tiny model depends on the context and has no close second", (t) => {
  for (const tiedEmbeddings of [true, false]) {
    const weights = tinyModel({ tiedEmbeddings });
    const { vocabSize } = weights.config;
    const tokenIds = Array.from({ length: 48 }, (_, index) => (index * 37 + 11) % vocabSize);
    const logits = plainForward(weights, tokenIds);
    const best = new Set<number>();
    let repeated = 0;
    const margins = tokenIds.map((tokenId, token) => {
      const row = logits.subarray(token * vocabSize, (token + 1) * vocabSize);
      const [first, second] = row.toSorted().subarray(-2).toReversed();
      best.add(row.indexOf(first!));
      if (row.indexOf(first!) === tokenId) repeated += 1;
      return first! - second!;
    });
    t.true(best.size > 24, `${best.size} different tokens`);
    t.true(repeated < 5, `${repeated} repeat their input`);
    t.true(margins.filter((margin) => margin < 0.01).length < 5);
  }
});
