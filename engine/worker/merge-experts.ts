import type { ExpertSnapshot, ExpertState, ShadowSummary } from "../contract/experts.ts";

/**
 * Which state is told of an expert that several engines have in several: what serves it before what may come to that, what
 * has come further before what has not. A suspension before all: a person is to see it.
 */
const order: readonly ExpertState[] = [
  ...(["suspended", "resident", "loading", "draining", "stored", "building", "planned"] as const),
  ...(["failed", "over-budget", "absent", "off"] as const),
];

/** @param lists what each engine tells of the same experts; an engine that is starting tells of none */
export function mergeExperts(lists: readonly (readonly ExpertSnapshot[])[]): ExpertSnapshot[] {
  const first = lists.find((list) => list.length > 0) ?? [];
  return first.map(({ name }) =>
    mergeSnapshots(lists.flatMap((list) => list.filter((one) => one.name === name))),
  );
}

/** @param snapshots at least one, of the same expert */
export function mergeSnapshots(snapshots: readonly ExpertSnapshot[]): ExpertSnapshot {
  const rank = ({ state }: ExpertSnapshot) => order.indexOf(state);
  const [furthest] = snapshots.toSorted((a, b) => rank(a) - rank(b));
  const sum = (valueOf: (one: ExpertSnapshot) => number) =>
    snapshots.reduce((total, one) => total + valueOf(one), 0);
  const max = (valueOf: (one: ExpertSnapshot) => number | null) =>
    snapshots.map(valueOf).reduce((a, b) => (a === null || b === null ? (a ?? b) : Math.max(a, b)));
  return {
    ...furthest!,
    residentBytes: sum(({ residentBytes }) => residentBytes),
    // Who built it knows how long that took.
    built:
      snapshots.find(({ built }) => typeof built?.buildSeconds === "number")?.built ??
      snapshots.find(({ built }) => built !== null)?.built ??
      null,
    running: sum(({ running }) => running),
    hits: sum(({ hits }) => hits),
    misses: sum(({ misses }) => misses),
    evictions: sum(({ evictions }) => evictions),
    evictionReasons: mergeReasons(snapshots),
    loads: sum(({ loads }) => loads),
    loadsPutOff: sum(({ loadsPutOff }) => loadsPutOff),
    loadSeconds: max(({ loadSeconds }) => loadSeconds),
    stepSeconds: max(({ stepSeconds }) => stepSeconds),
    lastUsedMs: max(({ lastUsedMs }) => lastUsedMs),
    shadow: mergeShadows(snapshots.flatMap(({ shadow }) => shadow ?? [])),
  };
}

function mergeReasons(snapshots: readonly ExpertSnapshot[]): ExpertSnapshot["evictionReasons"] {
  const merged: Partial<Record<keyof ExpertSnapshot["evictionReasons"], number>> = {};
  for (const { evictionReasons } of snapshots) {
    for (const [reason, count] of Object.entries(evictionReasons)) {
      const key = reason as keyof typeof evictionReasons;
      merged[key] = (merged[key] ?? 0) + count;
    }
  }
  return merged;
}

/** Means over all tokens. */
function mergeShadows(shadows: readonly ShadowSummary[]): ShadowSummary | null {
  if (shadows.length === 0) return null;
  const sum = (valueOf: (one: ShadowSummary) => number) =>
    shadows.reduce((total, one) => total + valueOf(one), 0);
  const tokens = sum((one) => one.tokens);
  const mean = (valueOf: (one: ShadowSummary) => number) =>
    sum((one) => valueOf(one) * one.tokens) / Math.max(1, tokens);
  return {
    requests: sum(({ requests }) => requests),
    tokens,
    kl: mean(({ kl }) => kl),
    topAgreement: mean(({ topAgreement }) => topAgreement),
  };
}
