import test from "ava";
import { CpuDevice } from "../../../engine/device/cpu-device.ts";
import { CpuPass } from "../../../engine/device/cpu-pass.ts";
import type { ForwardPass } from "../../../engine/device/device.ts";
import { denseExpert } from "../../../engine/contract/experts.ts";
import { loadStages } from "../../../engine/run/load-stages.ts";
import { ModelRunner } from "../../../engine/run/model-runner.ts";
import { buildMiddle } from "../../../model/stages/model-stages.ts";
import { RotaryTable } from "../../../runtime/rotary-table.ts";
import { GivenTokens } from "../../helpers/given-tokens.ts";
import { somePrompt } from "../../helpers/requests.ts";
import { tinyModel } from "../../helpers/tiny-model.ts";

class CountingDevice extends CpuDevice {
  readonly passes: (readonly number[])[] = [];

  override createPass(pastLengths: readonly number[], numNewTokens: number): ForwardPass {
    this.passes.push(pastLengths);
    return super.createPass(pastLengths, numNewTokens);
  }
}

test("all stages that the same tokens go through share one pass", async (t) => {
  const weights = tinyModel();
  const { ropeInverseFrequencies } = weights.config;
  const device = new CountingDevice({ numThreads: 1, ropeInverseFrequencies });
  const { trunk, middle, head } = await loadStages(device, weights, "q8");
  const loadMiddle = () => device.loadStage(buildMiddle(weights, "q8", { name: "part" }));
  const stages = { trunk, middle: [...middle, await loadMiddle()], head };
  const runner = new ModelRunner({ device, stages, prefillChunk: 32 });
  runner.addMiddle("code", [await loadMiddle(), await loadMiddle()]);
  t.teardown(() => runner.dispose());

  const begin = async (length: number, name: string) => {
    const tokens = new GivenTokens(somePrompt(length + 2), length);
    while (!runner.needsMiddle(tokens)) await runner.prefill(tokens);
    runner.setMiddle(tokens, name);
    while ((await runner.prefill(tokens)) === null);
    tokens.numTokens++;
    return tokens;
  };
  const decode = async () => {
    runner.arrange(Infinity);
    await runner.decode();
    return device.passes.splice(0);
  };

  const dense = await begin(40, denseExpert);
  // Two chunks through the trunk, then through the two stages of the middle and the head.
  t.deepEqual(device.passes.splice(0), [[0], [32], [0], [32]]);
  t.deepEqual(await decode(), [[40]]);

  dense.numTokens++;
  await begin(20, "code");
  device.passes.length = 0;
  t.deepEqual(await decode(), [[41, 20], [41], [20]]);
});

test("what attention is fed is made once for arenas of one capacity", (t) => {
  const rotary = new RotaryTable(Float32Array.of(1, 0.5));
  const pass = new CpuPass(rotary, [3, 0], 1);
  const feeds = pass.attention(64);
  t.is(pass.attention(64), feeds);
  t.deepEqual(pass.attention(128).feeds["mask"]!.dims, [2, 1, 1, 1, 129]);
  t.deepEqual(new CpuPass(rotary, [0, 0], 5).attention(64).feeds["mask"]!.dims, [2, 1, 1, 5, 5]);
});
