import { builtStages } from "../../../model/prepared/stage-source.ts";
import test from "ava";
import { plainAngles } from "../../../model/weights/rope.ts";
import { CpuDevice } from "../../../engine/device/cpu-device.ts";
import { SharedAttention } from "../../../engine/device/shared-attention.ts";
import type { ForwardPass } from "../../../engine/device/device.ts";
import { denseExpert } from "../../../engine/contract/experts.ts";
import { loadStages } from "../../../engine/run/load-stages.ts";
import { ModelRunner } from "../../../engine/run/model-runner.ts";
import { buildMiddle } from "../../../model/stages/model-stages.ts";
import { AttentionKinds } from "../../../runtime/attention-kinds.ts";
import { GivenTokens } from "../../helpers/given-tokens.ts";
import { somePrompt } from "../../helpers/requests.ts";
import { tinyModel } from "../../helpers/tiny-model.ts";

class CountingDevice extends CpuDevice {
  numPasses = 0;

  override createPass(): ForwardPass {
    this.numPasses++;
    return super.createPass();
  }
}

test("all stages that the same tokens go through share one pass", async (t) => {
  const weights = tinyModel();
  const device = new CountingDevice({ numThreads: 1, config: weights.config });
  const { trunk, middle, head } = await loadStages(device, builtStages(weights, "q8", "dense"));
  const loadMiddle = () => device.loadStage(buildMiddle(weights, "q8", { name: "part" }));
  const stages = { trunk, middle: [...middle, await loadMiddle()], head };
  const runner = new ModelRunner({ device, stages, prefillChunk: 32 });
  runner.addMiddle("code", [await loadMiddle(), await loadMiddle()]);
  t.teardown(() => runner.dispose());

  const begin = async (length: number, name: string) => {
    const tokens = new GivenTokens(somePrompt(length + 2), length);
    while (!runner.needsMiddle(tokens)) await runner.prefill(tokens);
    await runner.setMiddle(tokens, name);
    while ((await runner.prefill(tokens)).kind !== "logits");
    tokens.numTokens++;
    return tokens;
  };
  const decode = async () => {
    await runner.arrange(Infinity);
    await runner.decode();
    return takePasses();
  };

  const takePasses = () => {
    const { numPasses } = device;
    device.numPasses = 0;
    return numPasses;
  };
  const dense = await begin(40, denseExpert);
  // Two chunks through the trunk, then through the two stages of the middle and the head.
  t.is(takePasses(), 4);
  t.is(await decode(), 1);

  dense.numTokens++;
  await begin(20, "code");
  takePasses();
  t.is(await decode(), 1);
});

test("what attention is fed is made once for the same tokens and arenas of one capacity", (t) => {
  const attention = new SharedAttention(
    new AttentionKinds({
      numHeads: 1,
      numKvHeads: 1,
      rotaryTables: [plainAngles(Float32Array.of(1, 0.5))],
      layers: [],
    }),
  );
  const feedsFor = (pastLengths: number[], numNewTokens: number, arenaCapacity: number) =>
    attention.feedsFor({ pastLengths, numNewTokens, arenaCapacity, isStepwise: false });
  const feeds = feedsFor([35, 0], 1, 64);
  t.is(feedsFor([35, 0], 1, 64), feeds);
  t.not(feedsFor([36, 0], 1, 64), feeds);
  t.not(feedsFor([35, 0], 2, 64), feeds);
  t.not(
    attention.feedsFor({
      ...{ pastLengths: [35, 0], numNewTokens: 1 },
      ...{ arenaCapacity: 64, isStepwise: true },
    }),
    feeds,
  );
  t.deepEqual(feedsFor([35, 0], 1, 128).feeds["mask"]!.dims, [2, 1, 1, 1, 1, 128 + 32]);
  t.is(feedsFor([35, 0], 1, 64), feeds);
  // Without anything in the past.
  t.deepEqual(feedsFor([31, 0], 5, 64).feeds["mask"]!.dims, [2, 1, 1, 1, 5, 64]);
});
