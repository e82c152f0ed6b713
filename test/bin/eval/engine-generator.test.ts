import test from "ava";
import type { ExecutionContext } from "ava";
import { EngineGenerator } from "../../../bin/eval/engine-generator.ts";
import { buildMiddle } from "../../../model/stages/model-stages.ts";
import { denseShape } from "../../../model/weights/layer-spec.ts";
import { plainGreedy } from "../../helpers/plain-forward.ts";
import { numberedTokens, somePrompt, tokenIdsOf } from "../../helpers/requests.ts";
import { tinyModel } from "../../helpers/tiny-model.ts";

const dense = tinyModel();
const full = denseShape(dense.config);
const thinShapes = [{ numHeads: 2, numKvHeads: 1, intermediateSize: 32 }];
/** All layers but the third are those of `dense`. */
const layerShapes = [full, full, ...thinShapes, full, full];
const thin = tinyModel({ layerShapes });

async function load(t: ExecutionContext, signal?: AbortSignal): Promise<EngineGenerator> {
  const generator = await EngineGenerator.load(dense, {
    format: "f32",
    numThreads: 1,
    tokenTable: numberedTokens(dense.config.vocabSize),
    ...(signal && { signal }),
  });
  t.teardown(() => generator.dispose());
  return generator;
}

test("answers are those of the middle that is open, with the model's own trunk and head", async (t) => {
  const generator = await load(t);
  const prompts = [5, 40, 23].map((length, seed) => somePrompt(length, seed));
  for (const [stage, weights, options] of [
    [buildMiddle(dense, "f32", { name: "dense" }), dense, {}],
    [buildMiddle(thin, "f32", { name: "thin", shapes: thinShapes }), thin, { layerShapes }],
  ] as const) {
    const middle = await generator.open([stage]);
    const answers = await Promise.all(
      prompts.map((prompt) => middle.generate(Uint32Array.from(prompt), 8)),
    );
    // And one after the others have ended.
    answers.push(await middle.generate(Uint32Array.from(prompts[0]!), 8));
    await middle.close();
    t.deepEqual(
      answers.map(tokenIdsOf),
      [...prompts, prompts[0]!].map((prompt) => plainGreedy(weights, prompt, 8, options)),
    );
  }
});

test("answers in the making end with the signal's reason", async (t) => {
  const controller = new AbortController();
  const generator = await load(t, controller.signal);
  const middle = await generator.open([buildMiddle(dense, "f32", { name: "dense" })]);
  t.teardown(() => middle.close());
  const answers = [1, 2].map((seed) =>
    middle.generate(Uint32Array.from(somePrompt(9, seed)), 1000),
  );
  controller.abort(new Error("enough"));
  for (const answer of answers) await t.throwsAsync(answer, { message: "enough" });
});
