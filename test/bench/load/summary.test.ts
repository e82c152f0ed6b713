import test from "ava";
import type { RequestRecord } from "../../../bench/load/client.ts";
import { latencyCurves, curveShares } from "../../../bench/load/curve.ts";
import { decodeSpeed, summarise } from "../../../bench/load/summary.ts";

const record = (change: Partial<RequestRecord> = {}): RequestRecord => ({
  startedAtMs: 0,
  firstTokenAtMs: 100,
  textAtMs: [100, 150, 200],
  endedAtMs: 210,
  promptTokens: 10,
  completionTokens: 3,
  cachedTokens: 0,
  error: null,
  ...change,
});

test("tokens a second are those of all requests in the time from the first to the last", (t) => {
  const later = record({ startedAtMs: 500, firstTokenAtMs: 600, textAtMs: [600], endedAtMs: 1000 });
  const { requests, seconds, tokensPerSecond, completionTokens } = summarise([record(), later]);
  t.deepEqual(
    { requests, seconds, tokensPerSecond, completionTokens },
    {
      ...{ requests: 2, seconds: 1, tokensPerSecond: 6, completionTokens: 6 },
    },
  );
});

test("errors are counted, and are no part of anything else", (t) => {
  const failed = record({ error: "429", endedAtMs: 1, completionTokens: 0, textAtMs: [] });
  const { errors, firstTokenMs, goodput, requestsPerSecond } = summarise([record(), failed]);
  t.is(errors, 1);
  t.is(firstTokenMs.count, 1);
  t.is(goodput, requestsPerSecond);
});

test("goodput leaves out answers that begin too late or go on too slowly", (t) => {
  const late = record({ firstTokenAtMs: 1001, textAtMs: [1001], endedAtMs: 2000 });
  const slow = record({ textAtMs: [100, 500], endedAtMs: 2000 });
  const { goodput } = summarise([record(), late, slow]);
  t.is(goodput, 1 / 2);
});

test("an event of several tokens counts as all of them", (t) => {
  t.is(decodeSpeed([record({ completionTokens: 11 })]), 100);
  t.is(decodeSpeed([record({ completionTokens: 1, textAtMs: [100] })]), 0);
});

test("curves have a latency at each share, none where nothing was answered", (t) => {
  const { firstTokenMs, betweenTokensMs } = latencyCurves([record()]);
  t.deepEqual(
    firstTokenMs,
    curveShares.map(() => 100),
  );
  t.true(betweenTokensMs.every((ms) => ms === 50));
  t.deepEqual(latencyCurves([record({ error: "gone" })]).endToEndMs, []);
});
