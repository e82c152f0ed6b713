import test from "ava";
import type { EngineOptions } from "../../../engine/worker/engine.ts";
import { engineShare } from "../../../engine/worker/engine-share.ts";
import { FakeBuilder } from "../../helpers/fake-experts.ts";
import { numberedTokens } from "../../helpers/requests.ts";

const builder = new FakeBuilder();

const options: EngineOptions = {
  ...{ modelPath: "model.gguf", weights: "q8", contextLength: 512, vocabSize: 16 },
  ...{ threads: 8, maxBatch: 16, prefillChunk: 32 },
  ...{ kvMemoryBytes: 1000, prefixCacheBytes: 0, maxWaitingRequests: 10, maxWaitingTokens: 100 },
  tokenTable: numberedTokens(16),
  experts: {
    builder,
    options: {
      ...{ tasks: {}, hasGeneral: true, memoryBytes: 101, policy: "task", preload: ["code"] },
      ...{ idleMs: null, maxParked: 2 },
      shadow: { share: 0, maxKl: 1, minRequests: 1 },
    },
  },
};

test("the shares of batch and memory add up to the whole; threads are the same for all", (t) => {
  const shares = [0, 1, 2].map((index) => engineShare(options, index, 3));
  t.deepEqual(
    shares.map(({ threads }) => threads),
    [2, 2, 2],
  );
  t.deepEqual(
    shares.map(({ maxBatch }) => maxBatch),
    [5, 5, 6],
  );
  const sum = (valueOf: (share: EngineOptions) => number) =>
    shares.reduce((total, share) => total + valueOf(share), 0);
  t.is(
    sum(({ kvMemoryBytes }) => kvMemoryBytes),
    1000,
  );
  t.is(
    sum(({ prefixCacheBytes }) => prefixCacheBytes),
    0,
  );
  t.is(
    sum(({ experts }) => experts!.options.memoryBytes),
    101,
  );
});

test("each may have one request wait for an expert, and any number for its turn; the rest is the same", (t) => {
  const share = engineShare(options, 0, 3);
  t.is(share.experts!.options.maxParked, 1);
  t.like(share, { maxWaitingRequests: Infinity, maxWaitingTokens: Infinity });
  t.like(share, { modelPath: "model.gguf", contextLength: 512, prefillChunk: 32 });
  t.is(share.experts!.builder, builder);
  t.deepEqual(share.experts!.options.preload, ["code"]);
  const { experts, ...dense } = options;
  t.false("experts" in engineShare(dense, 0, 2));
  t.truthy(experts);
});
