import test from "ava";
import { RouterError } from "../../router/errors.ts";
import { numTrunkFeatures } from "../../router/features.ts";
import { fitClusterRouter } from "../../router/fit-clusters.ts";
import { fitLogisticRouter } from "../../router/fit-logistic.ts";
import { generator } from "../../router/k-means.ts";
import { createPromptRouter } from "../../router/prompt-router.ts";
import { rowsAround, centerAt } from "../helpers/feature-groups.ts";

const hiddenSize = 4;

function router() {
  const group = (direction: number) =>
    rowsAround(centerAt(direction, 8, numTrunkFeatures(hiddenSize)), 40, { seed: direction + 1 });
  const tasks = new Map([
    ["math", group(0)],
    ["code", group(1)],
  ]);
  return fitClusterRouter({ tasks, background: new Map() }, { model: null });
}

test("a decision does not depend on the chunks that the prompt came in, nor on other prompts", (t) => {
  const prompts = createPromptRouter(router(), hiddenSize);
  const random = generator(1);
  const hidden = Float32Array.from({ length: 50 * hiddenSize }, () => 10 * random());
  const spans = { question: { start: 20, end: 45 }, previous: { start: 3, end: 9 } };
  const decide = (chunk: number) => {
    const [pending, neighbour] = [prompts.begin(spans), prompts.begin(spans)];
    for (let start = 0; !pending.isComplete; start += chunk * hiddenSize) {
      pending.add(hidden.subarray(start, start + chunk * hiddenSize));
      neighbour.add(new Float32Array(chunk * hiddenSize).fill(start));
    }
    return pending.decide();
  };
  const whole = decide(50);
  for (const chunk of [1, 8, 20, 32]) t.deepEqual(decide(chunk), whole);
});

test("a router of another size or by other features is refused", (t) => {
  const small = router();
  t.throws(() => createPromptRouter(small, hiddenSize + 1), {
    instanceOf: RouterError,
    message: "Expected a router by 21 features of the trunk's output, got one by 17 of kind trunk.",
  });
  const tasks = new Map([
    ["math", rowsAround(centerAt(0), 20)],
    ["code", rowsAround(centerAt(1), 20)],
  ]);
  t.throws(() => createPromptRouter(fitLogisticRouter({ tasks }, { model: null }), hiddenSize), {
    message: /of kind embedding/,
  });
});
