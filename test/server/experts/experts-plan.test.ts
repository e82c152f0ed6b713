import test from "ava";
import { ConfigError } from "../../../server/base/config-error.ts";
import { parseConfig } from "../../../server/config/config.ts";
import { planExperts } from "../../../server/experts/plan-experts.ts";
import type { ExpertBudget } from "../../../server/experts/expert-source.ts";

const tasks = ["chat", "code", "math"];

function plan(args: readonly string[], source = { tasks }) {
  const { config } = parseConfig({ args, env: {} });
  return planExperts({ config, tasks, source, availableBytes: 4 * 2 ** 30 });
}

const special = (tasksOf: object) => ["--experts", JSON.stringify({ tasks: tasksOf })];

test("by default every task of the router and all together get an expert within 10 %", (t) => {
  const { options, settings } = plan([])!;
  const policy = { isServed: true, whileBuilding: "general" as const };
  t.deepEqual(options, {
    tasks: { chat: policy, code: policy, math: policy },
    hasGeneral: true,
    memoryBytes: 2 ** 30,
    policy: "load-aware",
    preload: [],
    idleMs: null,
    maxParked: 256,
    shadow: { share: 0, maxKl: 0.5, minRequests: 20 },
  });
  const budget = { maxLossIncrease: 0.1 };
  t.deepEqual(settings, {
    tasks: { chat: budget, code: budget, math: budget, general: budget },
    tokens: 8000,
  });
});

test("options reach the pool in its units", (t) => {
  const args =
    "--expert-memory 2GiB --expert-policy task --preload code,general --expert-idle-seconds 60 " +
    "--shadow 0.01 --shadow-max-kl 0.2 --while-building wait --expert-tokens 100 --max-parked-requests 7";
  const { options, settings } = plan(args.split(" "))!;
  t.like(options, {
    memoryBytes: 2 ** 31,
    policy: "task",
    preload: ["code", "general"],
    idleMs: 60_000,
    maxParked: 7,
    shadow: { share: 0.01, maxKl: 0.2, minRequests: 20 },
  });
  t.is(options.tasks["code"]!.whileBuilding, "wait");
  t.is(settings.tokens, 100);
});

test("a task's own settings win over those for all", (t) => {
  const { options, settings } = plan([
    ...special({
      chat: { serve: false },
      code: { sparsity: 0.3, whileBuilding: "wait" },
      math: { maxLossIncrease: 0.05 },
    }),
    ...["--expert-sparsity", "0.2"],
  ])!;
  t.deepEqual(options.tasks, {
    chat: { isServed: false, whileBuilding: "general" },
    code: { isServed: true, whileBuilding: "wait" },
    math: { isServed: true, whileBuilding: "general" },
  });
  const budgets: Record<string, ExpertBudget> = {
    code: { sparsity: 0.3 },
    math: { maxLossIncrease: 0.05 },
    general: { sparsity: 0.2 },
  };
  t.deepEqual(settings.tasks, budgets);
});

test("the general expert can be left out", (t) => {
  const { options, settings } = plan(special({ general: { serve: false } }))!;
  t.false(options.hasGeneral);
  t.deepEqual(Object.keys(settings.tasks), tasks);
});

test("a task that no expert can be built of is answered by dense", (t) => {
  const { options, settings } = plan([], { tasks: ["code"] })!;
  t.false(options.tasks["math"]!.isServed);
  t.deepEqual(Object.keys(settings.tasks), ["code", "general"]);
});

test("there are no experts when they are off, and when no task has one", (t) => {
  t.is(plan(["--experts", "off"]), null);
  t.is(plan([], { tasks: [] }), null);
});

const wrong: readonly (readonly [string[], RegExp])[] = [
  [special({ poetry: {} }), /^experts: tasks: .*chat, code, math, general.* got "poetry"\.$/],
  [special({ math: { sparsity: 0.3 } }), /^experts: tasks\.math: expected \{"serve": false\}/],
  [special({ general: { whileBuilding: "wait" } }), /^experts: tasks\.general\.whileBuilding: /],
  [["--preload", "code,poetry"], /^--preload: expected names among .* got "poetry"\.$/],
];

for (const [args, message] of wrong) {
  test(`${args.join(" ")} is refused with what was expected`, (t) => {
    const error = t.throws(() => plan(args, { tasks: ["chat", "code"] }), { message });
    t.true(error instanceof ConfigError);
  });
}
