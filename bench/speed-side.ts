import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { BuiltExpert } from "../engine/contract/experts.ts";
import type { WireExpertList } from "../server/experts/expert-wire.ts";
import { HttpSide } from "./http-side.ts";
import type { ProcessBuilding } from "./soak/process-builder.ts";
import type { SpeedModel } from "./speed-expert.ts";
import type { SpeedSetting } from "./speed-server.ts";

/** Header of the rules that name a request's task. */
const header = "x-bench-task";

export interface SpeedSideOptions {
  readonly model: SpeedModel;
  readonly built: BuiltExpert;
  readonly tasks: readonly string[];
  readonly building?: ProcessBuilding;
  /** More flags of `seap serve`. */
  readonly flags?: Readonly<Record<string, string | number>>;
}

/** Headers of a request of a task. */
export function taskHeaders(task: string): Readonly<Record<string, string>> {
  return { [header]: task };
}

/** Rules by which `taskHeaders` name a task, which leaves the pool free to choose another expert. */
export function headerRules(tasks: readonly string[]): string {
  const rules = [...tasks, "none"].map((task) => ({
    when: { header: { name: header, value: task } },
    task,
  }));
  return JSON.stringify({ rules });
}

/** A server whose experts are there at once, with memory for all of them. */
export async function startSpeedSide(options: SpeedSideOptions): Promise<HttpSide> {
  const { model, built, tasks, building, flags } = options;
  return HttpSide.start({
    ...model,
    program: [
      fileURLToPath(new URL("./speed-server.js", import.meta.url)),
      JSON.stringify({ tasks, built, ...(building && { building }) } satisfies SpeedSetting),
    ],
    flags: {
      router: "auto",
      experts: "auto",
      routing: headerRules(tasks),
      "expert-memory": (tasks.length + 1) * built.sizeBytes,
      ...flags,
    },
  });
}

/** Waits until all of these experts are in memory. */
export async function untilResident(side: HttpSide, experts: readonly string[]): Promise<void> {
  for (;;) {
    const { data } = (await side.ask("GET", "/v1/experts")) as WireExpertList;
    const resident = data.filter(({ state }) => state === "resident").map(({ id }) => id);
    if (experts.every((expert) => resident.includes(expert))) return;
    await delay(100);
  }
}
