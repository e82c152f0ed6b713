import test from "ava";
import { choicesByScore } from "../../../prune/choice/attention-choices.ts";
import { maskLayer } from "../../../prune/choice/masks.ts";
import { orderByScore } from "../../../prune/choice/scores.ts";
import { tinyModel } from "../../helpers/tiny-model.ts";

const kept = (choices: ReturnType<typeof choicesByScore>) =>
  choices.map(({ keptHeads, keptKvHeads }) => [keptHeads, keptKvHeads]);

test("with one query head per KV head the lowest heads go, one after the other", (t) => {
  const { config } = tinyModel({ numHeads: 4, numKvHeads: 4 });
  t.deepEqual(kept(choicesByScore(Float64Array.of(3, 1, 4, 2), config)), [
    [
      [0, 1, 2, 3],
      [0, 1, 2, 3],
    ],
    [
      [0, 2, 3],
      [0, 2, 3],
    ],
    [
      [0, 2],
      [0, 2],
    ],
    [[2], [2]],
    [[], []],
  ]);
});

test("under grouped-query attention every KV head keeps as many query heads, or goes as a whole", (t) => {
  const { config } = tinyModel({ numHeads: 4, numKvHeads: 2, headDim: 16, hiddenSize: 64 });
  // Groups (5, 1) and (2, 3).
  const choices = choicesByScore(Float64Array.of(5, 1, 2, 3), config);
  t.deepEqual(kept(choices), [
    [
      [0, 1, 2, 3],
      [0, 1],
    ],
    [
      [0, 3],
      [0, 1],
    ], // two of four parameters' worth, loses 1 + 2
    [[0, 1], [0]], // loses 2 + 3
    [[0], [0]],
    [[], []],
  ]);
  t.deepEqual(
    choices.map(({ loss }) => loss),
    [0, 3, 5, 6, 11],
  );
  // Parameters of query and output per head, key and value per KV head: 2 · 64 · 16 each.
  t.deepEqual(
    choices.map(({ parameters }) => parameters / 2048),
    [6, 4, 3, 2, 0],
  );
});

test("a choice that keeps more parameters and loses no less is left out", (t) => {
  const { config } = tinyModel({ numHeads: 4, numKvHeads: 2 });
  // The second KV head's group is worthless: thinning both groups would be worse and keep more.
  t.deepEqual(kept(choicesByScore(Float64Array.of(5, 5, 0, 0), config)), [
    [
      [0, 1, 2, 3],
      [0, 1],
    ],
    [[0, 1], [0]],
    [[1], [0]],
    [[], []],
  ]);
});

test("a layer keeps its highest channels", (t) => {
  const { config } = tinyModel({ numHeads: 2, numKvHeads: 2 });
  const attention = choicesByScore(Float64Array.of(1, 2), config)[1]!;
  const order = orderByScore(Float64Array.of(9, 1, 5, 0, 7));
  t.deepEqual(maskLayer({ attention, numChannels: 3 }, 5, order), {
    keptHeads: [1],
    keptKvHeads: [1],
    keptChannels: [0, 2, 4],
  });
});
