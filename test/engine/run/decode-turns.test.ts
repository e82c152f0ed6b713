import test from "ava";
import { DecodeTurns } from "../../../engine/run/decode-turns.ts";
import type { DecodeMember } from "../../../engine/run/decode-turns.ts";
import { ModelRunner } from "../../../engine/run/model-runner.ts";
import { GivenTokens } from "../../helpers/given-tokens.ts";
import { loadModel } from "../../helpers/loop-run.ts";
import { somePrompt } from "../../helpers/requests.ts";
import { tinyModel } from "../../helpers/tiny-model.ts";
import { WatchedDevice } from "../../helpers/watched-device.ts";

/** Some sequences whose KV has a size, which makes them a group. */
function membersOf(count: number, sizeBytes: number): DecodeMember[] {
  return Array.from({ length: count }, () => {
    const state = { kv: { sizeBytes }, middle: { name: "dense" } };
    return [new GivenTokens([1]), state] as unknown as DecodeMember;
  });
}

/** Steps of groups whose parts take some time each, by size. @returns how often each took part */
async function run(
  members: readonly DecodeMember[],
  costs: ReadonlyMap<number, number>,
  { steps = 1000, clock = { ms: 0 }, turns = new DecodeTurns(() => clock.ms) } = {},
): Promise<Map<number, number>> {
  const counts = new Map([...costs.keys()].map((size) => [size, 0]));
  for (let step = 0; step < steps; step++) {
    const groups = turns.begin(members);
    if (groups.length === 0) throw new Error("nobody takes part");
    for (const group of groups) {
      const { sizeBytes } = group.members[0]![1].kv;
      counts.set(sizeBytes, counts.get(sizeBytes)! + 1);
      await turns.measure(group, () => {
        clock.ms += costs.get(sizeBytes)!;
        return Promise.resolve();
      });
    }
    turns.end();
  }
  return counts;
}

for (const cost of [20, 40, 400]) {
  test(`one sequence that takes ${cost} ms slows down 15 that take 40 ms by less than a fifth`, async (t) => {
    const members = [...membersOf(15, 1), ...membersOf(1, 100)];
    const costs = new Map([
      [1, 40],
      [100, cost],
    ]);
    const counts = await run(members, costs);
    t.is(counts.get(1), 1000);
    const share = (counts.get(100)! * cost) / (1000 * 40);
    t.true(share > 0.12 && share < 0.18, `${share}`);
  });
}

test("groups that take what they are take part in each step, also where times vary", async (t) => {
  const members = [...membersOf(4, 1), ...membersOf(3, 2), ...membersOf(1, 3)];
  const costs = new Map([
    [1, 40],
    [2, 45],
    [3, 14],
  ]);
  const counts = await run(members, costs);
  t.deepEqual([...counts.values()], [1000, 1000, 1000]);
});

test("a group that is alone takes part, whatever it took before", async (t) => {
  const [many, few] = [membersOf(15, 1), membersOf(1, 100)];
  const costs = new Map([
    [1, 1],
    [100, 1000],
  ]);
  const clock = { ms: 0 };
  const turns = new DecodeTurns(() => clock.ms);
  await run([...many, ...few], costs, { steps: 3, clock, turns });
  t.is((await run(few, costs, { steps: 10, clock, turns })).get(100), 10);
});

test("a sequence that sits out steps gets the bits that it gets alone", async (t) => {
  const loaded = await loadModel(t, tinyModel(), "q8");
  const time = { ms: 0 };
  const device = new WatchedDevice(loaded.device, {
    beforePass: (_, numSequences) => (time.ms += numSequences === 1 ? 100 : 1),
  });
  const lengths = [300, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34];
  const numSteps = 40;
  const rowsOf = async (chosen: readonly number[]) => {
    const runner = new ModelRunner({
      ...{ device, stages: loaded.stages, prefillChunk: 32 },
      now: () => time.ms,
    });
    const sequences = chosen.map((i) => {
      const ids = somePrompt(lengths[i]! + numSteps, i);
      return { tokens: new GivenTokens(ids, lengths[i]), rows: [] as Float32Array[] };
    });
    for (const { tokens } of sequences) {
      while ((await runner.prefill(tokens)).kind !== "logits");
      tokens.numTokens++;
    }
    for (let step = 1; step < numSteps; step++) {
      await runner.arrange(Infinity);
      const logits = await runner.decode();
      for (const { tokens, rows } of sequences) {
        const row = logits.get(tokens);
        if (!row) continue;
        rows.push(row.slice());
        tokens.numTokens++;
      }
    }
    for (const { tokens } of sequences) runner.release(tokens);
    return sequences.map(({ rows }) => rows);
  };
  const together = await rowsOf([...lengths.keys()]);
  t.true(together[0]!.length < numSteps / 2);
  for (const [i, rows] of together.entries()) {
    if (i > 0) t.is(rows.length, numSteps - 1);
    const [alone] = await rowsOf([i]);
    t.deepEqual(rows, alone!.slice(0, rows.length));
  }
  t.is(loaded.device.kvBytes, 0);
});
