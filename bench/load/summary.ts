import type { RequestRecord } from "./client.ts";
import { distribution } from "./percentiles.ts";
import type { Distribution } from "./percentiles.ts";

/** What an answer must keep to count for goodput. */
export const slo = {
  /** To the first token. */
  firstTokenMs: 1000,
  /** From token to token, mean of an answer. */
  tokenMs: 100,
} as const;

export interface LoadSummary {
  readonly requests: number;
  readonly errors: number;
  /** First request sent to the last answer's end. */
  readonly seconds: number;
  readonly promptTokens: number;
  readonly completionTokens: number;
  readonly cachedTokens: number;
  /** Generated, of all requests together. */
  readonly tokensPerSecond: number;
  readonly requestsPerSecond: number;
  /** Requests a second whose answers kept the objective. */
  readonly goodput: number;
  readonly firstTokenMs: Distribution;
  /** Between two events with text of one answer. */
  readonly betweenTokensMs: Distribution;
  readonly endToEndMs: Distribution;
}

export function summarise(records: readonly RequestRecord[]): LoadSummary {
  const answered = records.filter(({ error }) => error === null);
  const start = Math.min(...records.map(({ startedAtMs }) => startedAtMs));
  const end = Math.max(...records.map(({ endedAtMs }) => endedAtMs));
  const seconds = records.length === 0 ? 0 : (end - start) / 1000;
  const total = (count: (record: RequestRecord) => number) =>
    answered.reduce((sum, record) => sum + count(record), 0);
  const perSecond = (count: number) => (seconds === 0 ? 0 : count / seconds);
  const completionTokens = total((record) => record.completionTokens);
  return {
    requests: records.length,
    errors: records.length - answered.length,
    seconds,
    promptTokens: total((record) => record.promptTokens),
    completionTokens,
    cachedTokens: total((record) => record.cachedTokens),
    tokensPerSecond: perSecond(completionTokens),
    requestsPerSecond: perSecond(answered.length),
    goodput: perSecond(answered.filter(keepsObjective).length),
    firstTokenMs: distribution(answered.flatMap((record) => firstTokenMs(record) ?? [])),
    betweenTokensMs: distribution(answered.flatMap(({ textAtMs }) => gapsMs(textAtMs))),
    endToEndMs: distribution(answered.map(({ startedAtMs, endedAtMs }) => endedAtMs - startedAtMs)),
  };
}

export function firstTokenMs({ startedAtMs, firstTokenAtMs }: RequestRecord): number | null {
  return firstTokenAtMs === null ? null : firstTokenAtMs - startedAtMs;
}

export function gapsMs(times: readonly number[]): number[] {
  return times.slice(1).map((at, i) => at - times[i]!);
}

/** Tokens a second after the first one, of all answers together as if they came one after the other. */
export function decodeSpeed(records: readonly RequestRecord[]): number {
  let [tokens, milliseconds] = [0, 0];
  for (const { completionTokens, textAtMs } of records) {
    if (completionTokens < 2 || textAtMs.length < 2) continue;
    tokens += completionTokens - 1;
    milliseconds += textAtMs.at(-1)! - textAtMs[0]!;
  }
  return milliseconds === 0 ? 0 : (1000 * tokens) / milliseconds;
}

function keepsObjective(record: RequestRecord): boolean {
  const first = firstTokenMs(record);
  const { textAtMs, completionTokens } = record;
  const decodeMs = textAtMs.length < 2 ? 0 : textAtMs.at(-1)! - textAtMs[0]!;
  return (
    first !== null &&
    first <= slo.firstTokenMs &&
    decodeMs / Math.max(1, completionTokens - 1) <= slo.tokenMs
  );
}
