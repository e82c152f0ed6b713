import test from "ava";
import { biasCompensation, leastSquares } from "../../../prune/compensation/reconstruct.ts";
import {
  comomentOf,
  randomInputs,
  randomMatrix,
  seededRandom,
} from "../../helpers/random-problem.ts";

const ones = (length: number) => new Float64Array(length).fill(1);

test("bias compensation is Δb = W[:, removed] · mean[removed]", (t) => {
  const matrix = Float32Array.of(1, 2, 3, 4, 5, 6);
  const mean = Float64Array.of(10, 100, 1000);
  t.deepEqual([...biasCompensation(matrix, mean, [1])], [1 * 10 + 3 * 1000, 4 * 10 + 6 * 1000]);
  t.deepEqual([...biasCompensation(matrix, mean, [0, 1, 2])], [0, 0]);
});

/** Gaussian elimination with pivoting: solves A x = b. */
function solvePlainly(a: readonly (readonly number[])[], b: readonly number[]): number[] {
  const rows = a.map((row, i) => [...row, b[i]!]);
  const size = b.length;
  for (let k = 0; k < size; k++) {
    const pivot = rows
      .slice(k)
      .reduce((best, row) => (Math.abs(row[k]!) > Math.abs(best[k]!) ? row : best));
    rows.splice(rows.indexOf(pivot), 1);
    rows.splice(k, 0, pivot);
    for (let i = k + 1; i < size; i++) {
      const factor = rows[i]![k]! / pivot[k]!;
      for (let j = k; j <= size; j++) rows[i]![j]! -= factor * pivot[j]!;
    }
  }
  const x = Array.from({ length: size }, () => 0);
  for (let i = size - 1; i >= 0; i--) {
    let sum = rows[i]![size]!;
    for (let j = i + 1; j < size; j++) sum -= rows[i]![j]! * x[j]!;
    x[i] = sum / rows[i]![i]!;
  }
  return x;
}

for (const towards of ["weights", "zero"] as const) {
  test(`least squares drawn to ${towards} solves the normal equations over all tokens with an intercept`, async (t) => {
    const random = seededRandom(11);
    const [numTokens, size, numRows, kept] = [40, 9, 5, [0, 2, 3, 6, 8]];
    const inputs = randomInputs(random, numTokens, size);
    const weights = Float64Array.from({ length: numTokens }, () => 0.2 + random());
    const matrix = randomMatrix(random, numRows * size);
    const reduced = await leastSquares(matrix, comomentOf(inputs, weights), kept, {
      ridge: 0.05,
      towards,
    });

    // Unknowns: the kept weights and an intercept, which is not damped.
    const dimension = kept.length + 1;
    for (let row = 0; row < numRows; row++) {
      const a = Array.from({ length: dimension }, () => Array.from({ length: dimension }, () => 0));
      const b = Array.from({ length: dimension }, () => 0);
      for (let token = 0; token < numTokens; token++) {
        const x = inputs.subarray(token * size, (token + 1) * size);
        const y = x.reduce((sum, value, j) => sum + value * matrix[row * size + j]!, 0);
        const features = [...kept.map((j) => x[j]!), 1];
        for (let i = 0; i < dimension; i++) {
          b[i]! += weights[token]! * features[i]! * y;
          for (let j = 0; j < dimension; j++)
            a[i]![j]! += weights[token]! * features[i]! * features[j]!;
        }
      }
      for (const [i, j] of kept.entries()) {
        a[i]![i]! += reduced.damping!;
        if (towards === "weights") b[i]! += reduced.damping! * matrix[row * size + j]!;
      }
      const expected = solvePlainly(a, b);
      for (let i = 0; i < kept.length; i++) {
        t.true(Math.abs(reduced.matrix[row * kept.length + i]! - expected[i]!) < 1e-5);
      }
      t.true(Math.abs(reduced.bias[row]! - expected.at(-1)!) < 1e-5);
    }
  });
}

test("an input that others determine can go without any error", async (t) => {
  const random = seededRandom(2);
  const inputs = randomInputs(random, 50, 4);
  for (let at = 0; at < inputs.length; at += 4)
    inputs[at + 3] = inputs[at]! - 2 * inputs[at + 1]! + 3;
  const matrix = Float32Array.of(1, 1, 1, 1);
  const reduced = await leastSquares(matrix, comomentOf(inputs, ones(50)), [0, 1, 2], {
    ridge: 1e-9,
  });
  for (const [i, weight] of [2, -1, 1].entries()) {
    t.true(Math.abs(reduced.matrix[i]! - weight) < 1e-5);
  }
  t.true(Math.abs(reduced.bias[0]! - 3) < 1e-5);
});

test("an input that dwarfs the others does not damp their refit", async (t) => {
  const random = seededRandom(5);
  const numTokens = 60;
  const inputs = randomInputs(random, numTokens, 4);
  for (let at = 0; at < inputs.length; at += 4) {
    inputs[at + 2] = inputs[at]! - inputs[at + 1]!;
    inputs[at + 3] = 1e4 * random();
  }
  const matrix = Float32Array.of(1, 1, 1, 1);
  const comoment = comomentOf(inputs, ones(numTokens));
  const reduced = await leastSquares(matrix, comoment, [0, 1, 3], { ridge: 1e-4 });
  for (const [i, weight] of [2, 0, 1].entries()) {
    t.true(Math.abs(reduced.matrix[i]! - weight) < 1e-2);
  }
});

test("keeping everything leaves the matrix exactly as it is, with no bias", async (t) => {
  const random = seededRandom(4);
  const matrix = randomMatrix(random, 12);
  const comoment = comomentOf(randomInputs(random, 20, 4), ones(20));
  const reduced = await leastSquares(matrix, comoment, [0, 1, 2, 3]);
  t.deepEqual(reduced.matrix, matrix);
  t.deepEqual([...reduced.bias], [0, 0, 0]);
});

test("inputs that never vary are compensated by the bias alone", async (t) => {
  const inputs = Float64Array.from({ length: 30 }, (_, at) => (at % 3) + 1);
  const reduced = await leastSquares(Float32Array.of(1, 2, 3), comomentOf(inputs, ones(10)), [1]);
  t.is(reduced.damping, null);
  t.deepEqual([...reduced.matrix], [2]);
  t.deepEqual([...reduced.bias], [1 * 1 + 3 * 3]);
});

test("a Gram matrix that is not positive definite is damped more until it is", async (t) => {
  const comoment = {
    weight: 1,
    mean: new Float64Array(2),
    matrix: Float64Array.of(1, 1.5, 1), // eigenvalues 2.5 and -0.5
  };
  const matrix = Float32Array.of(1, 1);
  const reduced = await leastSquares(matrix, comoment, [0, 1], { ridge: 0.01, towards: "zero" });
  t.is(reduced.damping, 1);
});

test("removing all inputs leaves their mean", async (t) => {
  const comoment = comomentOf(Float64Array.of(1, 2, 3, 4), ones(2));
  const reduced = await leastSquares(Float32Array.of(1, 10), comoment, []);
  t.is(reduced.matrix.length, 0);
  t.deepEqual([...reduced.bias], [2 + 30]);
});
