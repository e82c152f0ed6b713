import test from "ava";
import { choicesByObs, orderChannels } from "../../../prune/choice/obs.ts";
import { leastSquares } from "../../../prune/compensation/reconstruct.ts";
import { typicalDiagonal, gramElement } from "../../../prune/choice/gram.ts";
import type { Comoment } from "../../../prune/calibration/statistics.ts";
import { tinyModel } from "../../helpers/tiny-model.ts";
import {
  comomentOf,
  randomInputs,
  randomMatrix,
  seededRandom,
} from "../../helpers/random-problem.ts";

const RIDGE = 0.1;

/** Damped squared error per token of keeping only some columns, refitted: the objective itself, summed up. */
async function errorOf(
  matrix: Float32Array,
  comoment: Comoment,
  kept: readonly number[],
): Promise<number> {
  const size = comoment.mean.length;
  const numRows = matrix.length / size;
  const { matrix: refitted } = await leastSquares(matrix, comoment, kept, { ridge: RIDGE });
  const damping = RIDGE * typicalDiagonal(comoment);
  let error = 0;
  for (let row = 0; row < numRows; row++) {
    const change = Array.from(matrix.subarray(row * size, (row + 1) * size));
    for (const [i, j] of kept.entries()) change[j]! -= refitted[row * kept.length + i]!;
    for (let i = 0; i < size; i++) {
      for (let j = 0; j < size; j++) error += change[i]! * change[j]! * gramElement(comoment, i, j);
      error += damping * change[i]! ** 2;
    }
  }
  return error / comoment.weight;
}

function problem(seed: number, size: number, numRows: number) {
  const random = seededRandom(seed);
  const comoment = comomentOf(
    randomInputs(random, 4 * size, size),
    new Float64Array(4 * size).fill(1),
  );
  return { matrix: randomMatrix(random, numRows * size), comoment };
}

test("one at a time, channels go in the order of a brute-force greedy, with its errors", async (t) => {
  for (let seed = 0; seed < 5; seed++) {
    const { matrix, comoment } = problem(seed, 10, 4);
    const { order, errors } = (await orderChannels(matrix, comoment, {
      ridge: RIDGE,
      batchSize: 1,
    }))!;
    let kept = Array.from({ length: 10 }, (_, j) => j);
    for (let step = 0; step < 9; step++) {
      const candidates: number[] = [];
      for (const gone of kept) {
        const left = kept.filter((j) => j !== gone);
        candidates.push(await errorOf(matrix, comoment, left));
      }
      const best = candidates.indexOf(Math.min(...candidates));
      t.is(order[step], kept[best]);
      t.true(Math.abs(errors[step + 1]! / candidates[best]! - 1) < 1e-4);
      kept = kept.filter((_, i) => i !== best);
    }
    t.deepEqual(order.slice(9), kept);
    const nothing = await errorOf(matrix, comoment, []);
    t.true(Math.abs(errors[10]! / nothing - 1) < 1e-4);
  }
});

test("in batches, the errors are those of the channels that stay", async (t) => {
  const { matrix, comoment } = problem(7, 23, 6);
  const { order, errors } = (await orderChannels(matrix, comoment, {
    ridge: RIDGE,
    batchSize: 4,
    maxRemoved: 18,
  }))!;
  t.is(order.length, 18);
  t.is(new Set(order).size, 18);
  for (let count = 1; count <= 18; count++) {
    const gone = new Set(order.slice(0, count));
    const kept = Array.from({ length: 23 }, (_, j) => j).filter((j) => !gone.has(j));
    t.true(Math.abs(errors[count]! / (await errorOf(matrix, comoment, kept)) - 1) < 1e-4);
  }
});

/** The same in plain steps: the whole inverse by elimination, every column gone subtracted at once. */
function orderPlainly(matrix: Float32Array, comoment: Comoment, batchSize: number) {
  const size = comoment.mean.length;
  const numRows = matrix.length / size;
  const damping = RIDGE * typicalDiagonal(comoment);
  const rows = Array.from({ length: size }, (_, i) =>
    Float64Array.from(
      { length: size },
      (_, j) => gramElement(comoment, i, j) + (i === j ? damping : 0),
    ),
  );
  const inverse = rows.map((_, i) => Float64Array.from(rows, (_, j) => (i === j ? 1 : 0)));
  for (let k = 0; k < size; k++) {
    const pivot = rows[k]![k]!;
    for (let j = 0; j < size; j++) {
      rows[k]![j]! /= pivot;
      inverse[k]![j]! /= pivot;
    }
    for (let i = 0; i < size; i++) {
      const factor = rows[i]![k]!;
      for (let j = 0; j < size && i !== k; j++) {
        rows[i]![j]! -= factor * rows[k]![j]!;
        inverse[i]![j]! -= factor * inverse[k]![j]!;
      }
    }
  }
  const columns = Array.from({ length: size }, (_, j) =>
    Float64Array.from({ length: numRows }, (_, row) => matrix[row * size + j]!),
  );
  const lossOf = (j: number) => columns[j]!.reduce((sum, w) => sum + w * w, 0) / inverse[j]![j]!;
  let left = Array.from({ length: size }, (_, j) => j);
  const order: number[] = [];
  const errors = [0];
  while (left.length > 0) {
    const losses = left.map(lossOf);
    const batch = left
      .map((id, at) => ({ id, loss: losses[at]! }))
      .sort((a, b) => a.loss - b.loss)
      .slice(0, batchSize);
    for (const { id } of batch) {
      errors.push(errors.at(-1)! + lossOf(id) / comoment.weight);
      order.push(id);
      left = left.filter((j) => j !== id);
      const [gone, pivot] = [inverse[id]!.slice(), inverse[id]![id]!];
      for (const j of left) {
        const factor = gone[j]! / pivot;
        for (let row = 0; row < numRows; row++) columns[j]![row]! -= factor * columns[id]![row]!;
        for (let i = 0; i < size; i++) inverse[j]![i]! -= factor * gone[i]!;
      }
    }
  }
  return { order, errors };
}

// Sizes around the panels of 64; batches that fill 128 pending removals, do not, and are larger.
for (const [size, batchSize] of [
  [2, 16],
  [5, 2],
  [64, 16],
  [65, 16],
  [130, 7],
  [200, 150],
  [290, 16],
] as const) {
  test(`of ${size} channels in batches of ${batchSize}, order and errors are those of plain steps`, async (t) => {
    const { matrix, comoment } = problem(size, size, 9);
    const expected = orderPlainly(matrix, comoment, batchSize);
    const { order, errors } = (await orderChannels(matrix, comoment, { ridge: RIDGE, batchSize }))!;
    t.deepEqual(order, expected.order);
    for (let count = 1; count <= size; count++) {
      t.true(Math.abs(errors[count]! / expected.errors[count]! - 1) < 1e-9);
    }
  });
}

test("batches of 16 of 256 channels cost at most 1 % more error than one by one", async (t) => {
  const { matrix, comoment } = problem(9, 256, 32);
  const batched = (await orderChannels(matrix, comoment, { maxRemoved: 128 }))!;
  const single = (await orderChannels(matrix, comoment, { maxRemoved: 128, batchSize: 1 }))!;
  t.true(batched.errors[128]! < 1.01 * single.errors[128]!);
  t.true(batched.errors[64]! < 1.01 * single.errors[64]!);
});

test("channels that never vary have no order by reconstruction", async (t) => {
  const comoment = comomentOf(new Float64Array(12).fill(1), new Float64Array(4).fill(1));
  t.is(await orderChannels(Float32Array.of(1, 2, 3), comoment), null);
});

test("attention choices report the error of the heads that stay and keep equal groups", async (t) => {
  const { config } = tinyModel({ numHeads: 6, numKvHeads: 2, headDim: 4 });
  const { matrix, comoment } = problem(3, 24, config.hiddenSize);
  const choices = (await choicesByObs(matrix, comoment, config, { ridge: RIDGE }))!;
  t.is(choices[0]!.keptHeads.length, 6);
  t.is(choices[0]!.loss, 0);
  t.is(choices.at(-1)!.keptHeads.length, 0);
  for (const [i, choice] of choices.entries()) {
    const columns = choice.keptHeads.flatMap((head) => [0, 1, 2, 3].map((j) => head * 4 + j));
    if (i > 0) {
      t.true(Math.abs(choice.loss / (await errorOf(matrix, comoment, columns)) - 1) < 1e-4);
      t.true(choice.loss > choices[i - 1]!.loss);
      t.true(choice.parameters < choices[i - 1]!.parameters);
    }
    for (const kvHead of choice.keptKvHeads) {
      const inGroup = choice.keptHeads.filter((head) => Math.floor(head / 3) === kvHead);
      t.is(inGroup.length, choice.keptHeads.length / choice.keptKvHeads.length);
    }
  }
});

test("with one query head per KV head, heads go in the order of a brute-force greedy over blocks", async (t) => {
  const { config } = tinyModel({ numHeads: 5, numKvHeads: 5, headDim: 4 });
  const { matrix, comoment } = problem(6, 20, config.hiddenSize);
  const choices = (await choicesByObs(matrix, comoment, config, { ridge: RIDGE }))!;
  const columns = (heads: readonly number[]) =>
    heads.flatMap((head) => [0, 1, 2, 3].map((j) => head * 4 + j));
  let kept = [0, 1, 2, 3, 4];
  for (let step = 1; step < 5; step++) {
    const candidates: number[] = [];
    for (const gone of kept) {
      const left = columns(kept.filter((h) => h !== gone));
      candidates.push(await errorOf(matrix, comoment, left));
    }
    const best = candidates.indexOf(Math.min(...candidates));
    kept = kept.filter((_, i) => i !== best);
    t.deepEqual(choices[step]!.keptHeads, kept);
  }
});
