import test from "ava";
import {
  CancelledError,
  EngineHungError,
  EngineRestartingError,
  EngineStoppedError,
  ExpertCommandError,
  OverloadedError,
} from "../../../engine/contract/errors.ts";
import type { Engine, EngineLimits, GenerateRequest } from "../../../engine/contract/request.ts";
import { EngineGroup } from "../../../engine/worker/engine-group.ts";
import { ModelLoadError } from "../../../model/errors.ts";
import { expertSnapshot } from "../../helpers/expert-snapshot.ts";
import { FakeEngine, Gate } from "../../helpers/fake-engine.ts";
import { requestFor, somePrompt } from "../../helpers/requests.ts";

interface GroupOptions {
  readonly numEngines?: number;
  readonly limits?: Partial<EngineLimits>;
  readonly maxWaitingRequests?: number;
  readonly maxWaitingTokens?: number;
}

async function setUp(options: GroupOptions = {}) {
  const { numEngines = 2, limits, maxWaitingRequests = 100, maxWaitingTokens = 10_000 } = options;
  const engines = Array.from(
    { length: numEngines },
    () => new FakeEngine({ maxWaitingRequests: Infinity, ...limits }),
  );
  const group = await EngineGroup.start({
    starts: engines.map((engine) => () => Promise.resolve(engine)),
    ...{ maxWaitingRequests, maxWaitingTokens, blockTokens: 32 },
  });
  return { group, engines };
}

/** Accepted, and not read any further. */
async function begin(group: Engine, request: GenerateRequest, signal?: AbortSignal) {
  const events = group.generate(request, signal);
  await events.next();
  return events;
}

async function textOf(group: Engine, request: GenerateRequest): Promise<string> {
  let text = "";
  for await (const event of group.generate(request)) if ("text" in event) text += event.text;
  return text;
}

const held = () => ({ steps: [{ hold: new Gate() }] });

test("requests are spread over the engines, and a burst is counted as it comes", async (t) => {
  const { group, engines } = await setUp();
  const requests = Array.from({ length: 8 }, (_, i) => requestFor(`r${i}`, somePrompt(8)));
  const texts = await Promise.all(requests.map((request) => textOf(group, request)));
  t.deepEqual(new Set(texts), new Set(["Hello world"]));
  t.deepEqual(
    engines.map(({ requests: { length } }) => length),
    [4, 4],
  );
  t.like(group.stats(), { runningRequests: 0, waitingRequests: 0 });
});

test("the group's limits are those of all engines together", async (t) => {
  const limits = { contextLength: 64, vocabSize: 9, maxBatch: 3 };
  const { group } = await setUp({ limits, maxWaitingRequests: 7 });
  t.deepEqual(group.limits, { ...limits, maxBatch: 6, maxWaitingRequests: 7 });
});

test("more than may wait in all engines together are refused", async (t) => {
  const { group, engines } = await setUp({ limits: { maxBatch: 1 }, maxWaitingRequests: 2 });
  for (const engine of engines) engine.script = held;
  const streams = [];
  for (let i = 0; i < 4; i++) {
    streams.push(await begin(group, requestFor(`r${i}`, somePrompt(8))));
  }
  t.like(group.stats(), { runningRequests: 2, waitingRequests: 2, waitingTokens: 16 });
  await t.throwsAsync(begin(group, requestFor("more", somePrompt(8))), {
    instanceOf: OverloadedError,
  });
  for (const stream of streams) await stream.return();
  t.like(group.stats(), { runningRequests: 0, waitingRequests: 0 });
  t.is(engines.flatMap(({ requests }) => requests).length, 4);
});

test("prompt tokens that wait are counted over all engines", async (t) => {
  const { group, engines } = await setUp({ limits: { maxBatch: 1 }, maxWaitingTokens: 100 });
  for (const engine of engines) engine.script = held;
  for (let i = 0; i < 3; i++) await begin(group, requestFor(`r${i}`, somePrompt(60)));
  await t.throwsAsync(begin(group, requestFor("more", somePrompt(60))), {
    instanceOf: OverloadedError,
  });
  await begin(group, requestFor("small", somePrompt(40)));
  t.is(group.stats().waitingTokens, 100);
});

test("aborting and leaving cancel a request in the engine that has it", async (t) => {
  const { group, engines } = await setUp();
  for (const engine of engines) engine.script = held;
  const controller = new AbortController();
  const first = await begin(group, requestFor("a", somePrompt(8)), controller.signal);
  const second = await begin(group, requestFor("b", somePrompt(8)));
  await first.next();
  const text = first.next();
  controller.abort();
  await t.throwsAsync(text, { instanceOf: CancelledError });
  t.deepEqual([engines[0]!.cancelledIds, engines[1]!.cancelledIds], [["a"], []]);
  await second.return();
  t.is(engines[1]!.stats().runningRequests, 0);
  // Both are free again.
  await begin(group, requestFor("c", somePrompt(8)));
  await begin(group, requestFor("d", somePrompt(8)));
  t.deepEqual(
    engines.map(({ requests }) => requests.map(({ id }) => id)),
    [
      ["a", "c"],
      ["b", "d"],
    ],
  );
});

test("what an engine fails with is what its requests fail with, and those of the others go on", async (t) => {
  const { group, engines } = await setUp();
  const gate = new Gate();
  const died = new EngineStoppedError("The engine's worker ended with code 1.");
  engines[0]!.script = () => ({ steps: [{ hold: gate }, { fail: died }] });
  engines[1]!.script = () => ({ steps: [{ hold: gate }, "fine"] });
  const texts = [
    textOf(group, requestFor("a", somePrompt(8))),
    textOf(group, requestFor("b", somePrompt(8))),
  ];
  gate.open();
  await t.throwsAsync(texts[0]!, { is: died });
  t.is(await texts[1]!, "fine");
});

test("requests are taken as long as one engine takes them", async (t) => {
  const { group, engines } = await setUp();
  t.is(group.enginesUp, 2);
  engines[0]!.problem = new EngineRestartingError();
  t.is(group.problem, null);
  t.is(group.enginesUp, 1);
  for (const id of ["a", "b"]) await textOf(group, requestFor(id, somePrompt(8)));
  t.is(engines[1]!.requests.length, 2);
  engines[1]!.problem = new EngineRestartingError();
  t.true(group.problem instanceof EngineRestartingError);
  t.is(group.enginesUp, 0);
  await t.throwsAsync(textOf(group, requestFor("c", somePrompt(8))), {
    instanceOf: EngineRestartingError,
  });
});

test("the group has failed when one engine will not come back", async (t) => {
  const { group, engines } = await setUp();
  const error = new EngineHungError("The engine's thread has not answered for 600 s.");
  engines[1]!.fail(error);
  t.is(await group.failed, error);
});

test("the router goes to all engines, and steps of all are observed", async (t) => {
  const { group, engines } = await setUp();
  await group.useRouter("router.safetensors");
  let numSteps = 0;
  group.observeSteps(() => numSteps++);
  for (const engine of engines) {
    t.deepEqual(engine.routers, ["router.safetensors"]);
    engine.onSteps({ steps: [], preemptions: 0 }, 0.001);
  }
  t.is(numSteps, 2);
});

test("restarts and memory are added, the KV memory's use is the mean", async (t) => {
  const { group, engines } = await setUp({ limits: { maxBatch: 2 } });
  engines[0]!.restarts = 2;
  engines[1]!.restarts = 1;
  engines[0]!.script = held;
  await begin(group, requestFor("a", somePrompt(8)));
  t.like(group.stats(), { restarts: 3, kvCacheUsage: 0.25, runningRequests: 1 });
});

test("a command goes to all engines and fails where all refuse it", async (t) => {
  const { group, engines } = await setUp();
  const [one, other] = engines;
  one!.snapshots = [expertSnapshot("code", { state: "resident", residentBytes: 5 })];
  other!.snapshots = [expertSnapshot("code", { state: "resident", residentBytes: 5 })];
  t.like(await group.commandExpert("code", "load"), { state: "resident", residentBytes: 10 });
  for (const { commands } of engines) t.deepEqual(commands, [["code", "load"]]);
  t.like(group.experts()[0], { name: "code", residentBytes: 10 });
  other!.snapshots = [];
  t.like(await group.commandExpert("code", "load"), { residentBytes: 5 });
  await t.throwsAsync(group.commandExpert("poetry", "load"), { instanceOf: ExpertCommandError });
});

test("closing closes all, also when one of them hangs", async (t) => {
  const { group, engines } = await setUp();
  const error = new EngineHungError("The engine's thread has not answered for 20 s.");
  engines[0]!.closing = Promise.reject(error);
  await t.throwsAsync(group.close(), { is: error });
  t.true(engines.every(({ isClosed }) => isClosed));
});

test("engines start one after the other, and when one cannot, none is left", async (t) => {
  const first = new FakeEngine();
  const gate = new Gate();
  const began: number[] = [];
  const error = new ModelLoadError("model.gguf", "no memory");
  const started = EngineGroup.start({
    starts: [
      async () => {
        began.push(0);
        await gate.opened;
        return first;
      },
      () => {
        began.push(1);
        return Promise.reject(error);
      },
    ],
    ...{ maxWaitingRequests: 1, maxWaitingTokens: 1, blockTokens: null },
  });
  t.deepEqual(began, [0]);
  gate.open();
  await t.throwsAsync(started, { is: error });
  t.deepEqual(began, [0, 1]);
  t.true(first.isClosed);
});
