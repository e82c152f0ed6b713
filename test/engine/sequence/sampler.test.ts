import test from "ava";
import fc from "fast-check";
import { InferenceError } from "../../../engine/contract/errors.ts";
import { CounterRandom } from "../../../engine/sequence/random.ts";
import type { SamplingParams } from "../../../engine/contract/request.ts";
import { Sampler } from "../../../engine/sequence/sampler.ts";
import { drawToken, type DrawParams } from "../../../engine/sequence/token-draw.ts";
import { greedy } from "../../helpers/requests.ts";

function draws(logits: Float32Array, params: Partial<SamplingParams>, count: number): number[] {
  const sampler = new Sampler({ ...greedy, ...params }, logits.length, []);
  return Array.from({ length: count }, () => sampler.next(logits));
}

interface Interval {
  readonly id: number;
  readonly start: number;
  readonly end: number;
}

/** The rules of the draw by sorting everything: kept tokens in order of ids, with their part of [0, 1). */
function plainIntervals(logits: Float32Array, params: DrawParams): Interval[] {
  const { temperature, topK, topP, minP } = params;
  const max = Math.max(...logits.filter((logit) => !Number.isNaN(logit)));
  let kept = [...logits.entries()]
    .filter(([, logit]) => logit > -Infinity)
    .map(([id, logit]) => ({ id, logit, weight: Math.exp((logit - max) / temperature) }))
    .sort((a, b) => b.logit - a.logit || a.id - b.id);
  if (topK > 0) kept = kept.slice(0, topK);
  if (topP < 1) {
    const total = kept.reduce((sum, { weight }) => sum + weight, 0);
    let mass = 0;
    kept = kept.filter(({ weight }) => {
      const wanted = mass < topP * total;
      mass += weight;
      return wanted;
    });
  }
  kept = kept.filter(({ weight }) => weight >= minP).sort((a, b) => a.id - b.id);
  const total = kept.reduce((sum, { weight }) => sum + weight, 0);
  let start = 0;
  return kept.map(({ id, weight }) => {
    const interval = { id, start, end: start + weight / total };
    start = interval.end;
    return interval;
  });
}

const logit = fc.oneof(
  { weight: 6, arbitrary: fc.float({ min: -20, max: 20, noNaN: true }) },
  // Ties, tokens that are ruled out, and broken values.
  { weight: 2, arbitrary: fc.integer({ min: -3, max: 3 }) },
  { weight: 1, arbitrary: fc.constantFrom(-Infinity, NaN) },
);

test("the drawn token is the one that sorting everything gives", (t) => {
  const params = fc.record({
    temperature: fc.constantFrom(0.1, 0.7, 1, 2),
    topK: fc.constantFrom(0, 1, 2, 5, 40, 10_000),
    topP: fc.constantFrom(0.01, 0.5, 0.9, 0.99, 1),
    minP: fc.constantFrom(0, 0.05, 0.5, 1),
  });
  const uniform = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
  t.notThrows(() =>
    fc.assert(
      fc.property(
        fc.array(logit, { minLength: 1, maxLength: 700 }),
        params,
        uniform,
        (values, drawParams, u) => {
          const logits = Float32Array.from([...values, 1]);
          const id = drawToken(logits, drawParams, u);
          const intervals = plainIntervals(logits, drawParams);
          const interval = intervals.find((candidate) => candidate.id === id);
          // The sums are rounded differently, so a draw at an edge may fall to the other side.
          return interval !== undefined && u > interval.start - 1e-6 && u < interval.end + 1e-6;
        },
      ),
      { numRuns: 2000 },
    ),
  );
});

test("a large vocabulary with few likely tokens is cut at the same tokens as by sorting", (t) => {
  const random = new CounterRandom(3);
  const logits = Float32Array.from({ length: 50_000 }, () => 6 * random.next() - 3);
  for (let i = 0; i < 12; i++) logits[Math.floor(random.next() * logits.length)] = 8 + i / 3;
  for (const params of [
    { temperature: 1, topK: 0, topP: 0.9, minP: 0 },
    { temperature: 1, topK: 40, topP: 1, minP: 0 },
    { temperature: 0.8, topK: 8, topP: 0.95, minP: 0.02 },
    { temperature: 1.5, topK: 0, topP: 1, minP: 0.1 },
    { temperature: 3, topK: 20_000, topP: 0.99, minP: 0 },
  ]) {
    const intervals = plainIntervals(logits, params);
    const inner = intervals.filter(({ start, end }) => end - start > 1e-9);
    for (let i = 0; i < 50; i++) {
      const { id, start, end } = inner[Math.floor(random.next() * inner.length)]!;
      t.is(drawToken(logits, params, (start + end) / 2), id);
    }
    t.is(drawToken(logits, params, 0), intervals[0]!.id);
    t.is(drawToken(logits, params, 1 - 2 ** -53), intervals.at(-1)!.id);
  }
});

test("greedy takes the largest logit, the lowest id of equal ones, and never NaN", (t) => {
  t.is(draws(Float32Array.of(1, NaN, 5, 5, -Infinity), {}, 1)[0], 2);
  t.is(draws(Float32Array.of(NaN, -1e30), {}, 1)[0], 1);
  t.is(draws(Float32Array.of(0, Infinity, 3), { temperature: 1 }, 1)[0], 1);
});

test("logits without any number are an error", (t) => {
  for (const logits of [Float32Array.of(NaN, NaN), Float32Array.of(-Infinity, -Infinity)]) {
    for (const temperature of [0, 1]) {
      t.throws(() => draws(logits, { temperature }, 1), {
        instanceOf: InferenceError,
        message: "None of the 2 logits is a number above -Infinity.",
      });
    }
  }
});

test("a tiny temperature is greedy, and a top_k of 1 too", (t) => {
  const logits = Float32Array.from({ length: 300 }, (_, id) => Math.sin(id));
  const best = logits.indexOf(Math.max(...logits));
  t.deepEqual(new Set(draws(logits, { temperature: 1e-6 }, 50)), new Set([best]));
  t.deepEqual(new Set(draws(logits, { temperature: 2, topK: 1 }, 50)), new Set([best]));
});

test("whatever the parameters and logits are, a token that may come is drawn, or the draw is an error", (t) => {
  const tiny = [5e-324, 1e-309, 1e-300, 1e-7, 1e-6];
  const params = fc.record({
    temperature: fc.oneof(
      fc.constantFrom(0, 1, 1e300, Number.MAX_VALUE, ...tiny),
      fc.double({ min: 0, noNaN: true, noDefaultInfinity: true }),
    ),
    topP: fc.constantFrom(1, 0.5, ...tiny),
    topK: fc.constantFrom(0, 1, 2, 1e9),
    minP: fc.constantFrom(0, 1, 0.5, ...tiny),
    repetitionPenalty: fc.constantFrom(1, 10, ...tiny),
    frequencyPenalty: fc.constantFrom(0, 2, -2, 5e-324),
    presencePenalty: fc.constantFrom(0, 2, -2, -5e-324),
    biases: fc.constantFrom(0, 100, -100),
  });
  const extremes = [3.4e38, -3.4e38, Infinity, -Infinity, NaN, 0, -0, 1.4e-45];
  const anyLogit = fc.oneof(fc.constantFrom(...extremes.map(Math.fround)), fc.float());
  const rows = fc.array(anyLogit, { minLength: 100, maxLength: 100 });
  const mask = fc.array(fc.integer(), { minLength: 4, maxLength: 4 });
  const run = (
    { biases, ...rules }: typeof params extends fc.Arbitrary<infer Params> ? Params : never,
    values: number[],
    words: number[] | null,
  ) => {
    const logits = Float32Array.from(values);
    const logitBias = values.map((_, id) => [id, biases] as const);
    const sampler = new Sampler(
      { ...greedy, ...rules, ...(biases !== 0 && { logitBias }) },
      logits.length,
      [0, 5],
    );
    for (let step = 0; step < 4; step++) {
      try {
        const id = sampler.next(logits, words && Int32Array.from(words));
        if (!Number.isInteger(id) || id < 0 || id >= logits.length) return false;
        if (words !== null && ((words[id >> 5]! >>> (id & 31)) & 1) === 0) return false;
      } catch (error) {
        return error instanceof InferenceError;
      }
    }
    return true;
  };
  t.notThrows(() => fc.assert(fc.property(params, rows, fc.option(mask), run), { numRuns: 3000 }));
});

test("a temperature that is too small to divide by is greedy", (t) => {
  const logits = Float32Array.from({ length: 300 }, (_, id) => Math.sin(id));
  const best = logits.indexOf(Math.max(...logits));
  for (const temperature of [5e-324, 1e-309, 1e-300, 1e-7]) {
    t.deepEqual(draws(logits, { temperature }, 3), [best, best, best]);
  }
});

test("frequencies follow the probabilities", (t) => {
  const logits = Float32Array.from([0.1, 0.2, 0.3, 0.4], Math.log);
  const counts = [0, 0, 0, 0];
  for (const id of draws(logits, { temperature: 1, seed: 7 }, 20_000)) counts[id]!++;
  for (const [id, count] of counts.entries()) {
    t.true(Math.abs(count / 20_000 - (id + 1) / 10) < 0.02, `${id}: ${count}`);
  }
});

test("the same seed gives the same tokens whatever other samplers do, another seed others", (t) => {
  const logits = new Float32Array(1000);
  const params = { temperature: 1, seed: 42 };
  const alone = draws(logits, params, 30);
  const sampler = new Sampler({ ...greedy, ...params }, 1000, []);
  const neighbour = new Sampler({ ...greedy, ...params, seed: 43 }, 1000, []);
  const beside = alone.map(() => {
    neighbour.next(logits);
    return sampler.next(logits);
  });
  t.deepEqual(beside, alone);
  t.notDeepEqual(draws(logits, { ...params, seed: 43 }, 30), alone);
  t.notDeepEqual(
    draws(logits, { ...params, seed: 0 }, 30),
    draws(logits, { ...params, seed: 2 ** 32 - 1 }, 30),
  );
});

test("penalties and biases are those of a plain version, step by step", (t) => {
  const vocabSize = 12;
  const token = fc.nat(vocabSize - 1);
  const params = fc.record({
    repetitionPenalty: fc.constantFrom(1, 1.3, 0.8),
    frequencyPenalty: fc.constantFrom(0, 0.5, -0.5),
    presencePenalty: fc.constantFrom(0, 1, -1),
    logitBias: fc.array(fc.tuple(token, fc.integer({ min: -5, max: 5 })), { maxLength: 3 }),
  });
  const steps = fc.array(
    fc.array(fc.float({ min: -4, max: 4, noNaN: true }), {
      minLength: vocabSize,
      maxLength: vocabSize,
    }),
    { minLength: 1, maxLength: 6 },
  );
  t.notThrows(() =>
    fc.assert(
      fc.property(params, fc.array(token), steps, (adjustments, prompt, allLogits) => {
        const sampler = new Sampler({ ...greedy, ...adjustments }, vocabSize, prompt);
        const output: number[] = [];
        for (const values of allLogits) {
          const logits = Float32Array.from(values);
          const plain = logits.map((value, id) => {
            let adjusted = value;
            for (const [biased, bias] of adjustments.logitBias) if (biased === id) adjusted += bias;
            adjusted = Math.fround(adjusted);
            if (prompt.includes(id) || output.includes(id)) {
              const penalty = adjustments.repetitionPenalty;
              adjusted = Math.fround(adjusted > 0 ? adjusted / penalty : adjusted * penalty);
            }
            const count = output.filter((other) => other === id).length;
            if (count === 0) return adjusted;
            return adjusted - (count * adjustments.frequencyPenalty + adjustments.presencePenalty);
          });
          const id = sampler.next(logits);
          output.push(id);
          if (Math.abs(plain[id]! - Math.max(...plain)) > 1e-5) return false;
          if (!logits.every((value, other) => Object.is(value, Math.fround(values[other]!)))) {
            return false;
          }
        }
        return true;
      }),
    ),
  );
});

test("a bias of -100 rules a token out, and one of 100 forces it", (t) => {
  const logits = Float32Array.of(9, 1, 2);
  t.is(draws(logits, { logitBias: [[0, -100]] }, 1)[0], 2);
  t.deepEqual(new Set(draws(logits, { temperature: 1, logitBias: [[1, 100]] }, 20)), new Set([1]));
});

test("logits that are a part of a batch are left as they are", (t) => {
  const batch = Float32Array.of(1, 2, 3, 4, 5, 6);
  const before = batch.slice();
  const params = { repetitionPenalty: 2, frequencyPenalty: 1, logitBias: [[0, 5]] as const };
  t.is(draws(batch.subarray(3, 6), params, 3)[0], 0);
  t.deepEqual(batch, before);
});

test("random numbers are uniform in [0, 1) and depend on seed and position only", (t) => {
  const values = Array.from({ length: 4 }, (_, seed) => {
    const random = new CounterRandom(seed);
    return Array.from({ length: 2500 }, () => random.next());
  }).flat();
  t.true(values.every((value) => value >= 0 && value < 1));
  t.is(new Set(values).size, values.length);
  const bins = new Array<number>(10).fill(0);
  for (const value of values) bins[Math.floor(value * 10)]!++;
  t.true(
    bins.every((count) => Math.abs(count - 1000) < 150),
    bins.join(),
  );
  t.is(new CounterRandom(3).next(), values[3 * 2500]!);
});

test("only tokens of the mask are drawn, whatever the rules prefer", (t) => {
  const logits = Float32Array.from({ length: 70 }, (_, id) => id);
  const mask = Int32Array.of(0, (1 << 3) | (1 << 9), -1);
  const allowed = [35, 41, 64, 65, 66, 67, 68, 69];
  for (const params of [{}, { temperature: 1 }, { temperature: 5, topK: 3 }]) {
    const sampler = new Sampler({ ...greedy, ...params, logitBias: [[69, -100]] }, 70, []);
    for (let i = 0; i < 50; i++) t.true(allowed.includes(sampler.next(logits, mask)));
  }
  t.is(new Sampler(greedy, 70, []).next(logits, Int32Array.of(0, 1 << 3, 0)), 35);
  t.is(logits[0], 0, "the logits stay as they are");
  const nothing = new Int32Array(3);
  t.throws(() => new Sampler(greedy, 70, []).next(logits, nothing), { instanceOf: InferenceError });
});

test("the repetition penalty looks at as many of the last tokens as it is told to", (t) => {
  const logits = Float32Array.of(3, 2.9, 2.8, 0);
  const drawn = (repetitionWindow: number) => {
    const sampler = new Sampler({ ...greedy, repetitionPenalty: 2, repetitionWindow }, 4, [0]);
    return Array.from({ length: 4 }, () => sampler.next(logits));
  };
  t.deepEqual(drawn(Infinity), [1, 2, 0, 0]);
  t.deepEqual(drawn(1), [1, 0, 1, 0]);
  t.deepEqual(drawn(0), [0, 0, 0, 0]);
});
