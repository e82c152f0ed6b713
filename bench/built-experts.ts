import type { WireExpertList } from "../server/experts/expert-wire.ts";
import { HttpSide } from "./http-side.ts";
import { runLoad } from "./serving-workload.ts";
import type { LoadResult, TaskPrompt } from "./serving-workload.ts";
import type { SpeedModel } from "./speed-expert.ts";
import { headerRules, taskHeaders, untilResident } from "./speed-side.ts";

export interface BuiltOptions {
  readonly model: SpeedModel;
  readonly tasks: readonly string[];
  /** Options of `seap serve` by name. */
  readonly flags: Readonly<Record<string, string>>;
  /** Prompts of any tasks; those of tasks not in `tasks` are left out. */
  readonly prompts: readonly TaskPrompt[];
  readonly numRequests: number;
  readonly rounds: number;
}

interface Speeds {
  prefillSeconds: number;
  decodeSeconds: number;
}

const numPromptTokens = 512;
const numDecoded = 64;
const numTokens = 64;

/**
 * Experts as the server builds them, against the unpruned model of the same server, through HTTP.
 * @returns tables in Markdown
 */
export async function benchBuilt(options: BuiltOptions): Promise<string> {
  const { model, tasks, rounds, numRequests } = options;
  const serve = (flags: Readonly<Record<string, string>>) =>
    HttpSide.start({
      ...model,
      flags: {
        router: "auto",
        "expert-policy": "load-aware",
        routing: headerRules(tasks),
        ...options.flags,
        ...flags,
      },
    });
  const side = await serve({ experts: "auto", preload: tasks.join(",") });
  await untilResident(side, tasks);
  const { data } = (await side.ask("GET", "/v1/experts")) as WireExpertList;
  const dense = data.find(({ id }) => id === "dense")!;
  const speeds = new Map([...tasks, "none"].map((task) => [task, slowest()]));
  for (let round = 0; round < rounds; round++) {
    for (const [task, best] of speeds) await measureAlone(side, task, round, best);
  }
  const base = speeds.get("none")!;
  const rows = tasks.map((task) => {
    const expert = data.find(({ id }) => id === task)!;
    const { prefillSeconds, decodeSeconds } = speeds.get(task)!;
    const percent = (share: number | null) =>
      share === null ? "–" : `${(100 * share).toFixed(1)} %`;
    const seconds = (value: number | null) => (value === null ? "–" : `${value.toFixed(1)} s`);
    const cells = [
      task,
      percent(expert.sparsity),
      percent(expert.held_out_loss_increase),
      percent(expert.resident_bytes / dense.resident_bytes),
      seconds(expert.build_seconds),
      seconds(expert.load_seconds),
      (base.prefillSeconds / prefillSeconds).toFixed(2),
      (base.decodeSeconds / decodeSeconds).toFixed(2),
    ];
    return `| ${cells.join(" | ")} |`;
  });
  const prompts = options.prompts.filter(({ task }) => tasks.includes(task)).slice(0, numRequests);
  const withExperts = await busiest(side, prompts, rounds);
  await side.close();
  const denseSide = await serve({ experts: "off" });
  const denseOnly = await busiest(denseSide, prompts, rounds);
  await denseSide.close();
  const load = (name: string, { tokensPerSecond, firstTokenSeconds }: LoadResult) =>
    `| ${name} | ${tokensPerSecond.toFixed(0)} | ${firstTokenSeconds.toFixed(2)} s |`;
  return `| expert | sparsity | more held-out perplexity | memory, of the dense middle's | build | load | prefill ${numPromptTokens} tokens, speed-up | decode, speed-up |
|---|---|---|---|---|---|---|---|
${rows.join("\n")}

| ${prompts.length} prompts of ${tasks.join(", ")}, 16 at once | tokens/s | to the first token |
|---|---|---|
${load("dense only", denseOnly)}
${load("with experts, load-aware", withExperts)}
`;
}

function slowest(): Speeds {
  return { prefillSeconds: Infinity, decodeSeconds: Infinity };
}

/** One request on an idle server; the best time counts. */
async function measureAlone(
  side: HttpSide,
  task: string,
  round: number,
  best: Speeds,
): Promise<void> {
  const prompt = Array.from(
    { length: numPromptTokens },
    (_, i) => (((round + i) * 7919 + 13) % 40_000) + 100,
  );
  const long = await side.stream(prompt, 1, taskHeaders(task));
  best.prefillSeconds = Math.min(best.prefillSeconds, long.firstTokenSeconds);
  const { arrivals } = await side.stream(prompt.slice(0, 16), numDecoded, taskHeaders(task));
  best.decodeSeconds = Math.min(best.decodeSeconds, (arrivals.at(-1)! - arrivals[0]!) / 1000);
}

async function busiest(
  side: HttpSide,
  prompts: readonly TaskPrompt[],
  rounds: number,
): Promise<LoadResult> {
  await runLoad(side, prompts.slice(0, 8), { concurrency: 8, numTokens: 4 });
  let best: LoadResult | null = null;
  for (let round = 0; round < rounds; round++) {
    const result = await runLoad(side, prompts, { concurrency: 16, numTokens });
    if (best === null || result.tokensPerSecond > best.tokensPerSecond) best = result;
  }
  return best!;
}
