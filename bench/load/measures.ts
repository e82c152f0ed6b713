import { generator } from "../../router/k-means.ts";
import { poissonArrivals } from "./arrivals.ts";
import { streamAnswer } from "./client.ts";
import type { RequestRecord } from "./client.ts";
import { ascending, median, percentile } from "./percentiles.ts";
import type { PromptSource } from "./prompt-source.ts";
import { closedLoop, openLoop, runSession } from "./run-load.ts";
import { decodeSpeed, firstTokenMs, summarise } from "./summary.ts";
import { createWorkload } from "./workloads.ts";
import type { Session, WorkloadName } from "./workloads.ts";

/** One number of a comparison. */
export interface MeasureRow {
  readonly name: string;
  readonly unit: "tokens/s" | "ms";
  /** Our number divided by llama.cpp's, as it is to be: at least for speeds, at most for times. */
  readonly goal: number;
}

export interface Measured {
  /** One for each row. */
  readonly values: readonly number[];
  readonly records: readonly RequestRecord[];
}

/** Something that is done to a server of either side, in the same way. */
export interface Measure {
  readonly rows: readonly MeasureRow[];
  /** Whether the server may take beginnings of prompts from earlier ones. */
  readonly usesCache: boolean;
  /** Whether it is one of the few that tell most. */
  readonly isMain: boolean;
  /** @param round each has other prompts, the same for all servers */
  run(url: string, round: number): Promise<Measured>;
}

export interface MeasureSizes {
  /** Requests of each stream, on average. */
  readonly perStream: number;
  /** Longest answer. */
  readonly maxTokens: number;
  /** Requests that come one after the other. */
  readonly alone: number;
  /** How long requests arrive beside running streams. */
  readonly arrivalSeconds: number;
}

const longPromptTokens = 512;
/** Requests that arrive beside the streams, a second. */
const arrivalRate = 1;
const busyStreams = 8;

/** What the server's speed is judged by. */
export function speedMeasures(source: PromptSource, sizes: MeasureSizes): Measure[] {
  const sessionsOf = (name: WorkloadName) => createWorkload(name, source).sessions;
  const mixed = sessionsOf("mixed");
  return [
    decodeAlone("decoding, 1 stream", mixed, sizes),
    copyingAlone(sessionsOf("copying"), sizes),
    throughput("8 streams, all tasks", 8, mixed, sizes, true),
    throughput("16 streams, all tasks", 16, mixed, sizes),
    throughput("8 streams, one task", 8, sessionsOf("one-task"), sizes),
    throughput("16 streams, one task", 16, sessionsOf("one-task"), sizes),
    longPrompts(sizes),
    arrivals(mixed, sizes),
    secondTurns(sizes),
  ];
}

/** Answers that go on to their limit, one at a time. */
function decodeAlone(name: string, sessions: readonly Session[], sizes: MeasureSizes): Measure {
  const { alone, maxTokens } = sizes;
  return {
    rows: [{ name, unit: "tokens/s", goal: 1.15 }],
    usesCache: false,
    isMain: true,
    run: async (url, round) => {
      const records: RequestRecord[] = [];
      for (const { turns } of ofRound(sessions, round, alone)) {
        const prompt = { messages: [{ role: "user", content: turns[0]! }] } as const;
        const options = { maxTokens, ignoreEos: true, usesCache: false };
        records.push((await streamAnswer(url, prompt, options)).record);
      }
      return { values: [decodeSpeed(records)], records };
    },
  };
}

/** Answers that end by themselves, one at a time. */
function copyingAlone(sessions: readonly Session[], { alone, maxTokens }: MeasureSizes): Measure {
  return {
    rows: [
      { name: "decoding, 1 stream, edits, summaries, extraction", unit: "tokens/s", goal: 1.6 },
    ],
    usesCache: false,
    isMain: true,
    run: async (url, round) => {
      const limits = { maxTokens, usesCache: false };
      // Two of each kind, or more.
      const chosen = ofRound(sessions, round, Math.max(6, alone));
      const records = await closedLoop(url, chosen, limits, { streams: 1 });
      return { values: [decodeSpeed(records)], records };
    },
  };
}

function throughput(
  name: string,
  streams: number,
  sessions: readonly Session[],
  { perStream, maxTokens }: MeasureSizes,
  isMain = false,
): Measure {
  return {
    rows: [{ name, unit: "tokens/s", goal: 1.5 }],
    usesCache: false,
    isMain,
    run: async (url, round) => {
      const chosen = ofRound(sessions, round, perStream * streams);
      const limits = { maxTokens, usesCache: false };
      const records = await closedLoop(url, chosen, limits, { streams });
      return { values: [summarise(records).tokensPerSecond], records };
    },
  };
}

function longPrompts({ alone }: MeasureSizes): Measure {
  return {
    rows: [
      {
        ...{ name: `first token, prompt of ${longPromptTokens} tokens, alone, p50` },
        ...{ unit: "ms", goal: 0.6 },
      },
    ],
    usesCache: false,
    isMain: true,
    run: async (url, round) => {
      const records: RequestRecord[] = [];
      for (let i = 0; i < alone; i++) {
        const prompt = someTokens(longPromptTokens, round * alone + i);
        const options = { maxTokens: 2, ignoreEos: true, usesCache: false };
        records.push((await streamAnswer(url, { prompt }, options)).record);
      }
      return { values: [firstTokenMedian(records)], records };
    },
  };
}

/** Streams that run all the time, and what they and those that arrive beside them notice of each other. */
function arrivals(sessions: readonly Session[], sizes: MeasureSizes): Measure {
  const { maxTokens, arrivalSeconds } = sizes;
  return {
    rows: [
      { name: "between tokens, 8 streams, others arriving, p99", unit: "ms", goal: 1 },
      { name: "first token of those that arrive, p50", unit: "ms", goal: 0.6 },
    ],
    usesCache: false,
    isMain: false,
    run: async (url, round) => {
      const stop = new AbortController();
      const options = { maxTokens: 3000, ignoreEos: true, usesCache: false, signal: stop.signal };
      const streams = Array.from({ length: busyStreams }, (_, i) =>
        streamAnswer(url, { prompt: someTokens(32, i) }, options),
      );
      const times = poissonArrivals(arrivalRate, arrivalSeconds, generator(round + 1));
      const limits = { maxTokens, usesCache: false };
      // They have all begun by the first second.
      const later = times.map((at) => at + 1);
      const coming = ofRound(sessions, round, later.length);
      const arrived = await openLoop(url, coming, limits, later);
      stop.abort();
      const from = Math.min(...arrived.map(({ startedAtMs }) => startedAtMs));
      const to = Math.max(...arrived.map(({ endedAtMs }) => endedAtMs));
      const gaps = (await Promise.all(streams)).flatMap(({ record: { textAtMs } }) =>
        textAtMs.flatMap((at, i) => {
          const before = textAtMs[i - 1];
          return before !== undefined && before >= from && at <= to ? at - before : [];
        }),
      );
      const p99 = percentile(ascending(gaps), 0.99) ?? NaN;
      return { values: [p99, firstTokenMedian(arrived)], records: arrived };
    },
  };
}

/** Conversations whose first question is long and whose second is short. */
function secondTurns({ alone }: MeasureSizes): Measure {
  return {
    rows: [{ name: "first token of a second turn, alone, p50", unit: "ms", goal: 1 }],
    usesCache: true,
    isMain: false,
    run: async (url, round) => {
      const second: RequestRecord[] = [];
      for (let i = 0; i < alone; i++) {
        const turns = [longQuestion(round * alone + i), "And what would you do first?"];
        const limits = { maxTokens: 32, usesCache: true };
        const records = await runSession(url, { task: "chat", turns }, limits);
        second.push(records.at(-1)!);
      }
      return { values: [firstTokenMedian(second)], records: second };
    },
  };
}

/** About 500 tokens that begin differently for each number. */
function longQuestion(number: number): string {
  const list = Array.from({ length: 50 }, (_, i) => {
    return `item ${number * 50 + i} costs ${(i * 37 + number * 11) % 90} coins`;
  });
  return `List ${number}: ${list.join(", ")}. Which of these would you buy, and why?`;
}

function firstTokenMedian(records: readonly RequestRecord[]): number {
  return median(records.flatMap((record) => firstTokenMs(record) ?? [])) ?? NaN;
}

/** Token ids that all models know, other ones for each number. */
function someTokens(count: number, number: number): number[] {
  return Array.from(
    { length: count },
    (_, i) => (((number * count + i) * 7919 + 13) % 40_000) + 100,
  );
}

function ofRound(sessions: readonly Session[], round: number, count: number): Session[] {
  return Array.from({ length: count }, (_, i) => sessions[(round * count + i) % sessions.length]!);
}
