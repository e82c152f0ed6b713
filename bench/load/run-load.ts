import { setTimeout as delay } from "node:timers/promises";
import { streamAnswer } from "./client.ts";
import type { AnswerOptions, Message, RequestRecord } from "./client.ts";
import type { Session, Workload } from "./workloads.ts";

type Limits = Pick<Workload, "maxTokens" | "usesCache"> & Pick<AnswerOptions, "headers">;

/** The requests of one session, one after the other; what follows a request that failed is not sent. */
export async function runSession(
  url: string,
  { system, turns }: Session,
  limits: Limits,
): Promise<RequestRecord[]> {
  const messages: Message[] = system === undefined ? [] : [{ role: "system", content: system }];
  const records: RequestRecord[] = [];
  for (const content of turns) {
    messages.push({ role: "user", content });
    const { record, text } = await streamAnswer(url, { messages }, limits);
    records.push(record);
    if (record.error !== null) break;
    messages.push({ role: "assistant", content: text });
  }
  return records;
}

/** Keeps so many sessions running until all have run, or until the time is over, when they start anew until then. */
export async function closedLoop(
  url: string,
  sessions: readonly Session[],
  limits: Limits,
  { streams, minutes }: { readonly streams: number; readonly minutes?: number },
): Promise<RequestRecord[]> {
  const endMs = minutes === undefined ? Infinity : performance.now() + 60_000 * minutes;
  const records: RequestRecord[] = [];
  let next = 0;
  const hasMore = () =>
    minutes === undefined ? next < sessions.length : performance.now() < endMs;
  const work = async () => {
    while (hasMore()) {
      records.push(...(await runSession(url, sessions[next++ % sessions.length]!, limits)));
    }
  };
  await Promise.all(Array.from({ length: streams }, work));
  return records;
}

/** Starts a session at each of these times, whether earlier ones have ended or not. */
export async function openLoop(
  url: string,
  sessions: readonly Session[],
  limits: Limits,
  arrivals: readonly number[],
): Promise<RequestRecord[]> {
  const startMs = performance.now();
  const running: Promise<RequestRecord[]>[] = [];
  for (const [index, atSeconds] of arrivals.entries()) {
    await delay(Math.max(0, startMs + 1000 * atSeconds - performance.now()));
    running.push(runSession(url, sessions[index % sessions.length]!, limits));
  }
  return (await Promise.all(running)).flat();
}
