import test from "ava";
import { PromptLogprobs, tokenLogprobs } from "../../../engine/contract/logprobs.ts";

const logits = Float32Array.of(1, 3, 2, 3, -Infinity);
const normalizer = Math.log(Math.E + 2 * Math.exp(3) + Math.exp(2));

test("log-probabilities are those of the softmax, also far below the most likely token", (t) => {
  const { logprob } = tokenLogprobs(logits, 0, { numTop: 0 });
  t.true(Math.abs(logprob - (1 - normalizer)) < 1e-6);
  t.is(tokenLogprobs(logits, 4, { numTop: 0 }).logprob, -Infinity);
  const large = tokenLogprobs(Float32Array.of(1000, 0), 1, { numTop: 0 });
  t.is(large.logprob, -1000);
});

test("the most likely tokens come first, the lower id first of equally likely ones", (t) => {
  const { top, logprob } = tokenLogprobs(logits, 3, { numTop: 3 });
  t.deepEqual(
    top.map(([id]) => id),
    [1, 3, 2],
  );
  // lm-eval compares the two for equality.
  t.is(Math.max(...top.map(([, value]) => value)), logprob);
});

test("no more tokens are named than there are", (t) => {
  t.is(tokenLogprobs(logits, 0, { numTop: 20 }).top.length, 5);
  t.deepEqual(tokenLogprobs(logits, 0, { numTop: 0 }).top, []);
});

/** Rows in which token `i % 3` is likely. */
function rows(start: number, count: number): Float32Array {
  const values = new Float32Array(count * 3);
  for (let i = 0; i < count; i++) values[i * 3 + ((start + i) % 3)] = 5;
  return values;
}

test("a prompt is read in chunks, also when it is computed again from the start", (t) => {
  const promptTokenIds = Uint32Array.of(0, 1, 2, 0, 2);
  const read = (chunks: readonly (readonly [start: number, count: number])[]) => {
    const prompt = new PromptLogprobs(promptTokenIds, { numTop: 1 });
    for (const [start, count] of chunks) prompt.add(start, rows(start, count), 3);
    t.false(prompt.isReading);
    return prompt.tokens;
  };
  const whole = read([[0, 5]]);
  t.is(whole.length, 5);
  t.is(whole[0], null);
  t.deepEqual(
    whole.slice(1).map((token) => token!.top[0]![0]),
    [0, 1, 2, 0],
  );
  t.deepEqual(
    read([
      [0, 2],
      [0, 3],
      [3, 2],
    ]),
    whole,
  );
});

test("a prompt of one token has nothing to read", (t) => {
  const prompt = new PromptLogprobs(Uint32Array.of(1), { numTop: 0 });
  t.false(prompt.isReading);
  t.deepEqual(prompt.tokens, [null]);
});
