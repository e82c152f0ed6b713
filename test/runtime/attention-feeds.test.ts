import test from "ava";
import { plainAngles } from "../../model/weights/rope.ts";
import { attentionFeeds, continuedAttention } from "../../runtime/attention-feeds.ts";
import { AttentionMask } from "../../runtime/attention-mask.ts";
import { plainLayer } from "../../model/weights/layer-spec.ts";
import { AttentionKinds } from "../../runtime/attention-kinds.ts";
import type { Tensor } from "../../runtime/tensor.ts";

const kinds = (windows: readonly number[] = []) => {
  const layer = plainLayer({ headDim: 4, isInterleaved: false });
  const layers = windows.map((window) => ({ ...layer, window }));
  return new AttentionKinds({
    numHeads: 1,
    numKvHeads: 1,
    rotaryTables: [plainAngles(Float32Array.of(1, 0.5))],
    layers,
  });
};

/** The rows of a mask, one string each: what is seen, and what is not. */
function drawn(mask: Tensor): string[] {
  const width = mask.dims.at(-1)!;
  const marks = Array.from(mask.data as Float32Array, (score) => (score === 0 ? "x" : "."));
  return Array.from({ length: marks.length / width }, (_, i) =>
    marks.slice(i * width, (i + 1) * width).join(""),
  );
}

test("a sequence that goes on sees its own past and, of the new tokens, those up to its own", (t) => {
  const places = {
    ...{ pastLengths: [3, 0], tailStarts: [2, 0], numNewTokens: 2 },
    ...{ capacity: 4, tailLength: 3 },
  };
  const { feeds, numSequences, numNewTokens, tailLength, keptFeeds, rotaryRows } =
    continuedAttention(kinds(), places);
  t.deepEqual([numSequences, numNewTokens, tailLength], [2, 2, 3]);
  t.deepEqual(feeds["mask"]!.dims, [2, 1, 1, 1, 2, 7]);
  t.deepEqual(drawn(feeds["mask"]!), ["xx..xx.", "xx..xxx", "....x..", "....xx."]);
  const rows = rotaryRows({ numHeads: 2, numKvHeads: 1 })["rotary_rows.2.1"]!;
  t.deepEqual(rows.dims, [2, 8]);
  t.deepEqual(
    [...(rows.data as BigInt64Array)].map(Number),
    [3, 4, 0, 1].flatMap((position) => [position + 1, position + 1, position + 1, 0]),
  );
  t.deepEqual(feeds["score_split"]!.data, BigInt64Array.of(4n, 3n));
  t.deepEqual(feeds["tail_start"]!.data, BigInt64Array.of(1n, 0n));
  t.deepEqual(feeds["query_rows"]!.data, BigInt64Array.of(1n, 2n));

  const kept = keptFeeds([1]);
  t.deepEqual(kept["kept_query_rows"]!.data, BigInt64Array.of(1n, 1n));
  t.deepEqual(drawn(kept["kept_mask"]!), ["xx..xxx", "....xx."]);
  t.deepEqual(keptFeeds([])["kept_mask"]!.dims, [2, 1, 1, 1, 0, 7]);

  const stepwise = continuedAttention(kinds(), places, true).feeds;
  t.deepEqual(stepwise["mask"]!.dims, [2, 1, 1, 2, 1, 7]);
  t.deepEqual(stepwise["query_rows"]!.data, BigInt64Array.of(2n, 1n));
});

test("a window hides what lies too far back, in the past and in the tail", (t) => {
  const places = {
    ...{ pastLengths: [5], tailStarts: [4], numNewTokens: 2 },
    ...{ capacity: 4, tailLength: 4 },
  };
  const { feeds } = continuedAttention(kinds([3]), places);
  t.deepEqual(drawn(feeds["mask"]!), ["xxxxxx..", "xxxxxxx."]);
  t.deepEqual(drawn(feeds["mask.3"]!), ["...xxx..", "....xxx."]);
});

test("a mask shows what it is told to and hides it again", (t) => {
  const mask = new AttentionMask(1, 3);
  mask.show(1, 0, 2);
  mask.show(2, 0, 3);
  mask.hide(2, 1, 2);
  const { feeds } = attentionFeeds(kinds(), { positions: BigInt64Array.of(0n, 1n, 1n), mask });
  t.deepEqual(drawn(feeds["mask"]!), ["...", "xx.", "x.x"]);
});

test("the rotary table reaches to the last position, and is no shorter than the heads of the batch", (t) => {
  const lengthFor = (positions: bigint[]) => {
    const mask = new AttentionMask(1, positions.length);
    const { feeds } = attentionFeeds(kinds(), { positions: BigInt64Array.from(positions), mask });
    return feeds["cos"]!.dims[0];
  };
  // One row is of no position, and a layer of this model has 3 heads.
  t.is(lengthFor([7n, 6n]), 1 + 8);
  t.is(lengthFor([0n, 1n, 0n]), 1 + 3 * 3);
});
