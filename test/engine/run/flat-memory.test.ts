import { setImmediate } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import test from "ava";
import type { ExpertChoice } from "../../../engine/contract/expert-choice.ts";
import type { GenerateRequest } from "../../../engine/contract/request.ts";
import { wholePrompt } from "../../../router/prompt-spans.ts";
import { loadModel, LoopRun } from "../../helpers/loop-run.ts";
import { expertModel, loadExperts } from "../../helpers/made-up-experts.ts";
import { requestFor, somePrompt } from "../../helpers/requests.ts";
import { tinyModel } from "../../helpers/tiny-model.ts";

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

const tasks = ["code", "math"];

function requestOf(i: number): GenerateRequest {
  const length = 1 + ((i * 29) % 150);
  const assigned = { task: [null, ...tasks][i % 3]!, reason: "rule" as const };
  const isEmbedding = i % 7 === 0;
  const sampling = i % 2 === 0 ? {} : { temperature: 0.8, seed: i };
  return {
    ...requestFor(String(i), somePrompt(length, i % 5), {
      ...{ maxTokens: isEmbedding ? 0 : (i * 5) % 20, sampling, stop: ["9 9"] },
      routing: { spans: wholePrompt(length), assigned },
    }),
    ...(i % 4 === 0 ? { logprobs: { numTop: 2 } } : { cacheSalt: "" }),
    ...(isEmbedding && { reading: "embedding" }),
  };
}

/** Answers requests of all kinds, some of which are cancelled or sent back. */
async function answerAll(run: LoopRun, count: number): Promise<WeakRef<object>[]> {
  const refs: WeakRef<object>[] = [];
  for (let i = 0; i < count; i++) {
    const request = requestOf(i);
    refs.push(new WeakRef(request), new WeakRef(request.promptTokenIds));
    run.add(request);
    await run.step(2);
    if (i % 5 === 0) run.loop.cancel(String(i));
  }
  await run.runToEnd();
  return refs;
}

test("the engine keeps nothing of a request that is over", async (t) => {
  const loaded = await loadModel(t, tinyModel(expertModel), "q8");
  const middles = await loadExperts(t, loaded, "q8", tasks);
  const choose = (task: string | null): ExpertChoice => {
    const release = () => undefined;
    return { kind: "run", lease: { expert: task ?? "dense", task, reason: "expert", release } };
  };
  const run = new LoopRun(loaded, {
    ...{ middles, experts: { choose }, kvPositions: 640, prefixCacheBytes: 500_000 },
  });
  const refs = await answerAll(run, 40);
  for (let i = 0; i < 5 && refs.some((ref) => ref.deref() !== undefined); i++) {
    await setImmediate();
    collectGarbage();
  }
  t.is(refs.filter((ref) => ref.deref() !== undefined).length, 0);
  t.true(loaded.device.kvBytes <= run.runner.prefixCacheBytes);
});
