import { setImmediate } from "node:timers/promises";
import test from "ava";
import type { ExecutionContext } from "ava";
import type { Stage } from "../../../engine/device/device.ts";
import {
  CancelledError,
  InferenceError,
  TooManyParkedError,
} from "../../../engine/contract/errors.ts";
import type { ChooseOptions, ExpertChoice } from "../../../engine/contract/expert-choice.ts";
import type { GenerateRequest } from "../../../engine/contract/request.ts";
import { wholePrompt } from "../../../router/prompt-spans.ts";
import { Gate } from "../../helpers/fake-engine.ts";
import { answerAlone, loadModel, LoopRun } from "../../helpers/loop-run.ts";
import type { LoadedStages, LoopOptions } from "../../helpers/loop-run.ts";
import { expertModel, loadExperts } from "../../helpers/made-up-experts.ts";
import { requestFor, somePrompt } from "../../helpers/requests.ts";
import { WatchedDevice } from "../../helpers/watched-device.ts";
import { tinyModel } from "../../helpers/tiny-model.ts";

const tasks = ["code", "math", "chat"];

/** Gives each task its expert, once its gate is open, and counts what it gave. */
class Choices {
  readonly gates = new Map<string | null, Gate>();
  readonly asked: (ChooseOptions | undefined)[] = [];
  numLeases = 0;
  readonly numReleases: number[] = [];

  get numHeld(): number {
    return this.numLeases - this.numReleases.filter((times) => times > 0).length;
  }

  choose(task: string | null, options?: ChooseOptions): ExpertChoice {
    this.asked.push(options);
    const gate = this.gates.get(task);
    if (gate) return { kind: "wait", ready: gate.opened };
    const index = this.numLeases++;
    this.numReleases.push(0);
    const release = () => void this.numReleases[index]!++;
    const reason = task === null ? "no-task" : "expert";
    return { kind: "run", lease: { expert: task ?? "dense", task, reason, release } };
  }

  close(task: string): void {
    this.gates.set(task, new Gate());
  }

  /** Lets those that wait go on in the next step. */
  async open(task: string): Promise<void> {
    const gate = this.gates.get(task)!;
    this.gates.delete(task);
    gate.open();
    await setImmediate();
  }
}

interface Setting {
  readonly loaded: LoadedStages;
  readonly middles: Map<string, Stage[]>;
}

async function load(t: ExecutionContext, format: "q8" | "f32" = "q8"): Promise<Setting> {
  const loaded = await loadModel(t, tinyModel(expertModel), format);
  return { loaded, middles: await loadExperts(t, loaded, format, tasks) };
}

function start({ loaded, middles }: Setting, options: LoopOptions = {}) {
  const choices = new Choices();
  const run = new LoopRun(loaded, { middles, experts: choices, ...options });
  return { run, choices };
}

function request(
  id: string,
  task: string | null,
  length: number,
  maxTokens: number,
): GenerateRequest {
  const routing = { spans: wholePrompt(length), assigned: { task, reason: "rule" as const } };
  return requestFor(id, somePrompt(length, Number(id) + 1), { maxTokens, routing });
}

/** 12 requests over dense and three experts. */
const requests = Array.from({ length: 12 }, (_, i) =>
  request(String(i), [null, ...tasks][i % 4]!, 1 + ((i * 29) % 90), 4 + ((i * 13) % 30)),
);

async function alone(setting: Setting, one: GenerateRequest): Promise<string> {
  const { loaded, middles } = setting;
  return answerAlone(loaded, one, { middles, experts: new Choices() });
}

test("an answer on an expert is the one that it gives alone, whoever else is in the batch", async (t) => {
  const setting = await load(t);
  const { run, choices } = start(setting);
  for (const one of requests) run.add(one);
  await run.runToEnd();
  for (const one of requests) {
    t.is(run.text(one.id), await alone(setting, one), one.id);
    const task = one.routing!.assigned!.task;
    t.like(run.answer(one.id).routes[0], {
      task,
      expert: task ?? "dense",
      serveReason: task === null ? "no-task" : "expert",
    });
  }
  const onDense = { ...requests[1]!, routing: requests[0]!.routing! };
  t.not(run.text("1"), await alone(setting, onDense));
  t.deepEqual(choices.numReleases, Array<number>(12).fill(1));
});

test("without experts a task is answered by dense, and the reason says why", async (t) => {
  const { loaded } = await load(t);
  const run = new LoopRun(loaded);
  run.add(requests[0]!);
  run.add(requests[1]!);
  await run.runToEnd();
  t.like(run.answer("0").routes[0], { expert: "dense", serveReason: "no-task" });
  t.like(run.answer("1").routes[0], { expert: "dense", serveReason: "off" });
});

test("what the client said of its task and of waiting comes to whoever chooses", async (t) => {
  const { run, choices } = start(await load(t));
  const spans = wholePrompt(4);
  const assigned = { task: "code", reason: "override" } as const;
  run.add(requestFor("a", somePrompt(4), { routing: { spans, assigned, whileBuilding: "wait" } }));
  run.add(requestFor("b", somePrompt(4), { routing: { spans, whileBuilding: "general" } }));
  run.add(requestFor("c", somePrompt(4)));
  await run.runToEnd();
  t.deepEqual(choices.asked, [
    { isAssigned: true, mustWait: true },
    { isAssigned: false, mustWait: false },
    undefined,
  ]);
});

test("every running sequence gets a token a step, whatever its expert and how many share it", async (t) => {
  const { run } = start(await load(t));
  const shares = [null, "code", "code", "code", "code", "math"];
  for (const [i, task] of shares.entries()) run.add(request(String(i), task, 3, 60));
  while (run.runningIds().length < shares.length) await run.step();
  for (let step = 0; step < 10; step++) {
    const before = shares.map((_, i) => run.answer(String(i)).numTokens);
    await run.step();
    for (const [i, numTokens] of before.entries()) {
      t.is(run.answer(String(i)).numTokens, numTokens + 1);
    }
  }
});

test("who waits for an expert holds up nobody, and goes on as if it had not waited", async (t) => {
  const setting = await load(t);
  let numCalls = 0;
  const { run, choices } = start(setting, { maxBatch: 2, onWork: () => numCalls++ });
  choices.close("code");
  for (const one of [1, 5, 9]) run.add(requests[one]!);
  for (const one of [0, 2, 3]) run.add(requests[one]!);
  while (run.loop.hasWork) await run.step();
  for (const one of [0, 2, 3]) t.not(run.answer(String(one)).finish, null);
  for (const one of [1, 5, 9]) {
    const { numTokens, numParks, numStarts, routes } = run.answer(String(one));
    t.deepEqual(
      { numTokens, numParks, numStarts, routes: routes.length },
      {
        numTokens: 0,
        numParks: 1,
        numStarts: 1,
        routes: 0,
      },
    );
  }
  t.false(run.loop.isIdle);
  t.is(numCalls, 0);
  await choices.open("code");
  t.is(numCalls, 3);
  run.started.length = 0;
  await run.runToEnd();
  t.deepEqual(run.started, ["1", "5", "9"]);
  for (const one of [1, 5, 9]) {
    t.is(run.text(String(one)), await alone(setting, requests[one]!));
    t.is(run.answer(String(one)).routes[0]?.expert, "code");
  }
});

test("who must wait again keeps its place", async (t) => {
  const setting = await load(t);
  const { run, choices } = start(setting);
  choices.close("code");
  run.add(requests[1]!);
  run.add(requests[5]!);
  while (run.loop.hasWork) await run.step();
  const first = choices.gates.get("code")!;
  choices.close("code");
  first.open();
  await setImmediate();
  while (run.loop.hasWork) await run.step();
  t.deepEqual([run.answer("1").numParks, run.answer("5").numParks], [2, 2]);
  run.started.length = 0;
  await choices.open("code");
  await run.runToEnd();
  t.deepEqual(run.started, ["1", "5"]);
  t.is(run.text("1"), await alone(setting, requests[1]!));
});

test("one that waits for its expert can be cancelled, and what comes later finds nothing", async (t) => {
  const setting = await load(t);
  const { run, choices } = start(setting);
  choices.close("code");
  run.add(requests[1]!);
  while (run.loop.hasWork) await run.step();
  t.true(setting.loaded.device.kvBytes > 0);
  run.loop.cancel("1");
  t.true(run.loop.hasWork);
  await run.step();
  t.true(run.answer("1").error instanceof CancelledError);
  t.is(setting.loaded.device.kvBytes, 0);
  t.true(run.loop.isIdle);
  await choices.open("code");
  t.false(run.loop.hasWork);
  await run.step();
  t.is(choices.numLeases, 0);
});

test("those that wait lose their KV to those that can run, and their answers stay the same", async (t) => {
  const setting = await load(t, "f32");
  // Each has the class of 128 positions and a tail of 32; what `kvPositions` counts has its share of one.
  const { run, choices } = start(setting, { kvPositions: (2 * (128 + 32) * 64) / (64 + 32) });
  choices.close("code");
  const waiting = [0, 1].map((i) => request(String(i), "code", 80, 20));
  const others = [2, 3].map((i) => request(String(i), "math", 100, 60));
  for (const one of waiting) run.add(one);
  while (run.loop.hasWork) await run.step();
  t.is(run.loop.kvCacheUsage, 1);
  for (const one of others) run.add(one);
  while (run.loop.hasWork) {
    await run.step();
    t.true(run.loop.kvCacheUsage <= 1);
  }
  for (const { id } of others) t.not(run.answer(id).finish, null);
  t.is(setting.loaded.device.kvBytes, 0);
  await choices.open("code");
  await run.runToEnd();
  for (const one of [...waiting, ...others]) t.is(run.text(one.id), await alone(setting, one));
});

test("preempted sequences keep their expert: it is chosen once and let go once", async (t) => {
  const setting = await load(t, "f32");
  const { run, choices } = start(setting, { maxBatch: 8, kvPositions: 256, maxGapMs: 20 });
  for (const one of requests) run.add(one);
  let numPreempted = 0;
  let before = new Set<string>();
  while (!run.loop.isIdle) {
    await run.step();
    const now = new Set(run.runningIds());
    for (const id of before) if (!now.has(id) && run.answer(id).finish === null) numPreempted++;
    before = now;
  }
  t.true(numPreempted > 0);
  t.deepEqual(choices.numReleases, Array<number>(12).fill(1));
  for (const one of requests) {
    t.is(run.answer(one.id).routes.length, 1);
    t.is(run.text(one.id), await alone(setting, one));
  }
});

test("however a sequence ends, its expert is let go once, and after its KV", async (t) => {
  const setting = await load(t);
  let isFailing = false;
  const failing = setting.middles.get("math")![0]!;
  const device = new WatchedDevice(setting.loaded.device, {
    beforePass: (stages) => {
      if (isFailing && stages.includes(failing)) throw new InferenceError("no memory");
    },
  });
  const { run, choices } = start({ ...setting, loaded: { ...setting.loaded, device } });
  const running = ["code", "math", "math", null, "chat"];
  for (const [i, task] of running.entries()) run.add(request(String(i), task, 20, 100));
  while (run.runningIds().length < running.length) await run.step();
  run.loop.cancel("0");
  isFailing = true;
  await run.step();
  t.true(run.answer("0").error instanceof CancelledError);
  for (const id of ["1", "2"]) t.is(run.answer(id).error?.message, "no memory");
  t.is(choices.numHeld, 2);
  for (const task of ["code", "math"]) run.runner.removeMiddle(task);
  // In prefill.
  isFailing = false;
  run.runner.addMiddle("math", setting.middles.get("math")!);
  run.add(request("5", "math", 100, 100));
  while (choices.numLeases === 5) await run.step();
  isFailing = true;
  await run.step();
  t.true(run.answer("5").error instanceof InferenceError);
  run.add(request("6", "chat", 100, 100));
  while (choices.numLeases === 6) await run.step();
  run.loop.cancel("6");
  await run.runToEnd();
  t.deepEqual(choices.numReleases, Array<number>(7).fill(1));
  for (const id of ["3", "4"]) t.is(run.answer(id).numTokens, 100);
  t.is(setting.loaded.device.kvBytes, 0);
});

test("a middle that is not there costs the sequence that was to run on it", async (t) => {
  const setting = await load(t);
  setting.middles.delete("code");
  const { run, choices } = start(setting);
  run.add(requests[1]!);
  run.add(requests[2]!);
  await run.runToEnd();
  t.regex(run.answer("1").error?.message ?? "", /no middle code/);
  t.is(run.answer("2").error, null);
  t.deepEqual(choices.numReleases, [1, 1]);
});

test("abandoned requests leave nothing behind and nothing is told of them", async (t) => {
  const setting = await load(t);
  const { run, choices } = start(setting);
  choices.close("chat");
  for (const one of requests) run.add(one);
  await run.step(12);
  const told = JSON.stringify([...run.answers]);
  run.loop.abandon();
  t.true(run.loop.isIdle);
  t.is(choices.numHeld, 0);
  t.is(setting.loaded.device.kvBytes, 0);
  await choices.open("chat");
  await run.step(3);
  t.is(JSON.stringify([...run.answers]), told);
});

test("finished sequences are told of while they hold their expert", async (t) => {
  const setting = await load(t);
  const finished: (string | undefined)[] = [];
  const onFinish: LoopOptions["onFinish"] = ({ lease }) => finished.push(lease?.expert);
  const { run } = start(setting, { onFinish });
  run.add(request("0", "code", 5, 4));
  run.add(request("1", "math", 5, 40));
  run.add(request("2", null, 5, 8));
  await run.step(8);
  run.loop.cancel("1");
  await run.runToEnd();
  t.deepEqual(finished, ["code", "dense"]);
});

test("beyond the limit a request that would be parked is refused; others run, and the parked ones come to their end", async (t) => {
  const setting = await load(t);
  const { run, choices } = start(setting, { maxParked: 2 });
  choices.close("code");
  const parked = [0, 1, 2].map((id) => request(String(id), "code", 20, 5));
  for (const one of parked) run.add(one);
  const other = request("3", "math", 20, 5);
  run.add(other);
  for (let step = 0; step < 40; step++) await run.step();
  t.true(run.answer("2").error instanceof TooManyParkedError);
  t.is(run.text("3"), await alone(setting, other));
  await choices.open("code");
  await run.runToEnd();
  for (const one of parked.slice(0, 2)) t.is(run.text(one.id), await alone(setting, one));
});

test("one that was parked may be again, however many are", async (t) => {
  const setting = await load(t);
  const { run, choices } = start(setting, { maxParked: 1 });
  choices.close("code");
  const first = request("0", "code", 20, 5);
  run.add(first);
  for (let step = 0; step < 5; step++) await run.step();
  await choices.open("code");
  choices.close("code");
  for (let step = 0; step < 5; step++) await run.step();
  t.is(run.answer("0").numParks, 2);
  await choices.open("code");
  await run.runToEnd();
  t.is(run.text("0"), await alone(setting, first));
});
