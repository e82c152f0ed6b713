import { llamaSide, describeSetting } from "./llama-side.ts";
import type { LlamaSetting } from "./llama-side.ts";
import type { LlamaWeights } from "./llama-weights.ts";
import { streamAnswer } from "./client.ts";
import { closedLoop } from "./run-load.ts";
import type { SettingSpeed } from "./report.ts";
import { decodeSpeed, summarise } from "./summary.ts";
import type { Session } from "./workloads.ts";

export interface SettingsOptions {
  readonly program: string;
  readonly threads: number;
  readonly sessions: readonly Session[];
  readonly log: (line: string) => void;
}

/**
 * Tries llama.cpp's server with each of these weights, with flash attention and without.
 * @returns the fastest, by the geometric mean of its speeds with one stream and with eight, and what all were like
 */
export async function bestSetting(
  weights: readonly LlamaWeights[],
  options: SettingsOptions,
): Promise<{ best: LlamaSetting; speeds: SettingSpeed[] }> {
  const tried: { setting: LlamaSetting; speed: SettingSpeed }[] = [];
  for (const each of weights) {
    for (const flashAttention of [true, false]) {
      const setting = { ...each, flashAttention };
      const speed = await trySetting(setting, options);
      options.log(
        `llama.cpp with ${speed.setting}: ${speed.alone.toFixed(0)} tokens/s with one stream, ` +
          `${speed.busy.toFixed(0)} with eight`,
      );
      tried.push({ setting, speed });
    }
  }
  const score = ({ alone, busy }: SettingSpeed) => alone * busy;
  const best = tried.reduce((a, b) => (score(b.speed) > score(a.speed) ? b : a));
  return { best: best.setting, speeds: tried.map(({ speed }) => speed) };
}

async function trySetting(
  setting: LlamaSetting,
  { program, threads, sessions }: SettingsOptions,
): Promise<SettingSpeed> {
  const server = await llamaSide(program, setting, threads).start(false);
  try {
    const limits = { maxTokens: 32, usesCache: false };
    const prompt = { messages: [{ role: "user", content: "Tell me a long story." }] } as const;
    const answer = async (maxTokens: number) =>
      (await streamAnswer(server.url, prompt, { maxTokens, ignoreEos: true, usesCache: false }))
        .record;
    await answer(8);
    const alone = decodeSpeed([await answer(64)]);
    const busy = await closedLoop(server.url, sessions.slice(0, 8), limits, { streams: 8 });
    return {
      setting: describeSetting(setting),
      alone,
      busy: summarise(busy).tokensPerSecond,
    };
  } finally {
    await server.close();
  }
}
