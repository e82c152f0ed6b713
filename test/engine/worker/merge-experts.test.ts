import test from "ava";
import { expertStates } from "../../../engine/contract/experts.ts";
import { mergeExperts, mergeSnapshots } from "../../../engine/worker/merge-experts.ts";
import { expertSnapshot } from "../../helpers/expert-snapshot.ts";
import { builtOf } from "../../helpers/fake-experts.ts";

const busy = {
  ...{ residentBytes: 10, running: 1, hits: 5, misses: 2, evictions: 3, loads: 4, loadsPutOff: 1 },
  evictionReasons: { memory: 2, idle: 1 },
  ...{ loadSeconds: 0.5, stepSeconds: 0.01, lastUsedMs: 100 },
};

test("one engine's experts are told as they are", (t) => {
  const list = expertStates.map((state) => expertSnapshot(state, { ...busy, state }));
  t.deepEqual(mergeExperts([list]), list);
});

test("counts and bytes are added, of times the longest is told", (t) => {
  const other = { ...busy, residentBytes: 7, hits: 1, stepSeconds: null, lastUsedMs: 200 };
  t.deepEqual(
    mergeSnapshots([
      expertSnapshot("code", { ...busy, state: "resident" }),
      expertSnapshot("code", { ...other, evictionReasons: { idle: 2 }, state: "stored" }),
    ]),
    expertSnapshot("code", {
      state: "resident",
      ...{ residentBytes: 17, running: 2, hits: 6, misses: 4 },
      ...{ evictions: 6, loads: 8, loadsPutOff: 2 },
      evictionReasons: { memory: 2, idle: 3 },
      ...{ loadSeconds: 0.5, stepSeconds: 0.01, lastUsedMs: 200 },
    }),
  );
});

test("loaded in one is loaded, but suspended in one is suspended, with the reason", (t) => {
  const stateOf = (...states: (typeof expertStates)[number][]) =>
    mergeSnapshots(states.map((state) => expertSnapshot("code", { state }))).state;
  t.is(stateOf("absent", "resident"), "resident");
  t.is(stateOf("failed", "stored"), "stored");
  t.is(stateOf("planned", "building"), "building");
  t.is(stateOf("building", "stored"), "stored");
  const merged = mergeSnapshots([
    expertSnapshot("code", { state: "resident" }),
    expertSnapshot("code", { state: "suspended", problem: "It is too far from dense." }),
  ]);
  t.like(merged, { state: "suspended", problem: "It is too far from dense." });
});

test("the artifact is told by who built it, comparisons with dense are means over tokens", (t) => {
  const built = builtOf("code", 10);
  const merged = mergeSnapshots([
    expertSnapshot("code", {
      built: { ...built, buildSeconds: null },
      shadow: { requests: 1, tokens: 10, kl: 0.1, topAgreement: 0.9 },
    }),
    expertSnapshot("code", {
      built,
      shadow: { requests: 2, tokens: 30, kl: 0.3, topAgreement: 0.5 },
    }),
    expertSnapshot("code"),
  ]);
  t.is(merged.built, built);
  t.like(merged.shadow, { requests: 3, tokens: 40 });
  t.true(Math.abs(merged.shadow!.kl - 0.25) < 1e-12);
  t.true(Math.abs(merged.shadow!.topAgreement - 0.6) < 1e-12);
});

test("an engine that is starting takes nothing away", (t) => {
  const list = [expertSnapshot("dense", { state: "resident" }), expertSnapshot("code")];
  t.deepEqual(mergeExperts([[], list]), list);
  t.deepEqual(mergeExperts([[], []]), []);
});
