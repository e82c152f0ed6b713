import { setImmediate } from "node:timers/promises";
import test from "ava";
import type { ExecutionContext } from "ava";
import fc from "fast-check";
import type { KvBorrower } from "../../../engine/contract/kv-borrower.ts";
import type { ExpertChoice } from "../../../engine/contract/expert-choice.ts";
import { kvBudget } from "../../../engine/run/kv-budget.ts";
import { ModelRunner } from "../../../engine/run/model-runner.ts";
import type { GenerateRequest } from "../../../engine/contract/request.ts";
import { ShadowCheck } from "../../../engine/experts/shadow-check.ts";
import { StepTimer, timedPositions } from "../../../engine/experts/step-timer.ts";
import { Turnstile } from "../../../engine/experts/turnstile.ts";
import { wholePrompt } from "../../../router/prompt-spans.ts";
import { Gate } from "../../helpers/fake-engine.ts";
import { loadModelOn, LoopRun } from "../../helpers/loop-run.ts";
import type { LoadedStages } from "../../helpers/loop-run.ts";
import { expertModel, loadExperts } from "../../helpers/made-up-experts.ts";
import { PeakDevice } from "../../helpers/peak-device.ts";
import { requestFor, somePrompt } from "../../helpers/requests.ts";
import { tinyModel } from "../../helpers/tiny-model.ts";

const contextLength = 400;
const tasks = ["code", "math"];
const weights = tinyModel(expertModel);
const release = () => undefined;

/** A model on a device that knows its largest moment. */
function load(t: ExecutionContext) {
  const device = new PeakDevice({ numThreads: 1, config: weights.config });
  return loadModelOn(t, device, weights, "q8");
}

interface Arrival {
  readonly type: "add";
  readonly length: number;
  readonly maxTokens: number;
  readonly task: string | null;
  readonly reading?: "embedding";
}

type Command =
  | Arrival
  | { readonly type: "cancel"; readonly which: number }
  | { readonly type: "park"; readonly task: string }
  | { readonly type: "unpark"; readonly task: string }
  | { readonly type: "time" }
  | { readonly type: "step"; readonly count: number };

const arrival: fc.Arbitrary<Arrival> = fc
  .record({
    length: fc.oneof(
      { weight: 4, arbitrary: fc.integer({ min: 1, max: 120 }) },
      { weight: 1, arbitrary: fc.integer({ min: 1, max: contextLength }) },
    ),
    maxTokens: fc.oneof(fc.integer({ min: 0, max: 80 }), fc.integer({ min: 0, max: 300 })),
    task: fc.constantFrom(null, ...tasks),
  })
  .map(({ length, maxTokens, task }) => {
    const rest = Math.min(maxTokens, contextLength - length);
    const reading = rest === 0 ? { reading: "embedding" as const } : {};
    return { type: "add", length, task, maxTokens: rest, ...reading };
  });

const command: fc.Arbitrary<Command> = fc.oneof(
  { weight: 6, arbitrary: arrival },
  { weight: 1, arbitrary: fc.record({ type: fc.constant("cancel" as const), which: fc.nat(30) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      type: fc.constantFrom("park" as const, "unpark" as const),
      task: fc.constantFrom(...tasks),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ type: "time" as const }) },
  {
    weight: 4,
    arbitrary: fc.record({
      type: fc.constant("step" as const),
      count: fc.integer({ min: 1, max: 20 }),
    }),
  },
);

interface SettingOptions {
  /** Of the least memory that there can be. */
  readonly excess: number;
  readonly prefixCacheBytes: number;
  /** Some are timed while others run. */
  readonly hasExperts: boolean;
}

/** The engine's thread with a share of the memory that everything would need. */
class Setting implements KvBorrower {
  readonly device: PeakDevice;
  readonly totalBytes: number;
  readonly run: LoopRun;
  readonly shadow: ShadowCheck;
  numCompared = 0;
  readonly #timer: StepTimer;
  readonly #loaded: LoadedStages;
  readonly #gates = new Map<string, Gate>();
  #numAdded = 0;

  static async create(t: ExecutionContext, options: SettingOptions): Promise<Setting> {
    const loaded = await load(t);
    return new Setting(loaded, await loadExperts(t, loaded, "q8", tasks), options);
  }

  private constructor(
    loaded: Awaited<ReturnType<typeof load>>,
    middles: Awaited<ReturnType<typeof loadExperts>>,
    { excess, prefixCacheBytes, hasExperts }: SettingOptions,
  ) {
    const { device } = loaded;
    this.device = device;
    this.#loaded = loaded;
    const probe = new ModelRunner({ device, stages: loaded.stages, prefillChunk: 32 });
    const budget = (maxBytes: number) =>
      kvBudget(probe, { maxBytes, contextLength, timedPositions: hasExperts ? timedPositions : 0 });
    const { totalBytes, sequenceBytes } = budget(excess * budget(0).totalBytes);
    this.totalBytes = totalBytes + prefixCacheBytes;
    const choose = (task: string | null): ExpertChoice => {
      const gate = task !== null && this.#gates.get(task);
      if (gate) return { kind: "wait", ready: gate.opened };
      const reason = task === null ? ("no-task" as const) : ("expert" as const);
      return { kind: "run", lease: { expert: task ?? "dense", task, reason, release } };
    };
    this.run = new LoopRun(loaded, {
      ...{ middles, experts: { choose }, maxBatch: 12, prefixCacheBytes },
      kvPositions: sequenceBytes / (probe.kvBytesFor(1) / 64),
      onFinish: (sequence) => this.shadow.offer(sequence),
      kvBorrower: this,
    });
    this.shadow = new ShadowCheck({
      ...{ runner: this.run.runner, share: 1, vocabSize: weights.config.vocabSize },
      freeKvBytes: () => this.run.loop.freeKvBytes,
      record: () => void this.numCompared++,
      log: (line) => {
        throw new Error(line);
      },
    });
    const turnstile = new Turnstile(release);
    const { trunk } = loaded.stages;
    this.#timer = new StepTimer({ device, trunk, turnstile, now: () => performance.now() });
  }

  get kvBytes(): number {
    return this.shadow.kvBytes;
  }

  giveBack(): void {
    this.shadow.giveBack();
  }

  async apply(next: Command): Promise<void> {
    if (next.type === "add") this.run.add(this.#requestOf(next));
    else if (next.type === "cancel") this.run.loop.cancel(String(next.which));
    else if (next.type === "park") this.#park(next.task);
    else if (next.type === "unpark") await this.#unpark(next.task);
    else if (next.type === "time") await this.#timer.measure(this.#loaded.stages.middle);
    else for (let i = 0; i < next.count; i++) await this.#turn();
  }

  async drain(): Promise<void> {
    for (const task of tasks) await this.#unpark(task);
    for (let i = 0; !this.run.loop.isIdle || this.shadow.hasWork; i++) {
      if (i === 20_000) throw new Error("not through");
      await this.#turn();
    }
  }

  /** @throws when there is more memory than there may be, now or in between */
  check(): void {
    const { peakKvBytes } = this.device;
    if (peakKvBytes > this.totalBytes) throw new Error(`${peakKvBytes} of ${this.totalBytes}`);
    for (const { error } of this.run.answers.values()) {
      if (error && !error.message.includes("cancelled")) throw error;
    }
  }

  async #turn(): Promise<void> {
    if (this.run.loop.hasWork) await this.run.step();
    else if (this.shadow.hasWork) await this.shadow.step();
    this.check();
  }

  #park(task: string): void {
    if (!this.#gates.has(task)) this.#gates.set(task, new Gate());
  }

  async #unpark(task: string): Promise<void> {
    this.#gates.get(task)?.open();
    this.#gates.delete(task);
    await setImmediate();
  }

  #requestOf({ length, maxTokens, task, reading }: Arrival): GenerateRequest {
    const id = this.#numAdded++;
    const routing = { spans: wholePrompt(length), assigned: { task, reason: "rule" as const } };
    const prompt = somePrompt(length, 1 + (id % 3));
    return {
      ...requestFor(String(id), prompt, { maxTokens, routing }),
      ...(reading ? { reading } : { cacheSalt: "" }),
    };
  }
}

test("whatever comes and goes: never is more KV memory allocated than the options allow, and all comes to its end", async (t) => {
  let fullest = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(command, { minLength: 10, maxLength: 40 }),
      fc.record({
        excess: fc.double({ min: 1, max: 1.8, noNaN: true }),
        prefixCacheBytes: fc.constantFrom(0, 300_000),
        hasExperts: fc.boolean(),
      }),
      async (commands, options) => {
        const setting = await Setting.create(t, options);
        for (const next of commands) {
          if (next.type === "time" && !options.hasExperts) continue;
          await setting.apply(next);
          setting.check();
        }
        await setting.drain();
        setting.check();
        const { device, run } = setting;
        fullest = Math.max(fullest, device.peakKvBytes / setting.totalBytes);
        return device.kvBytes <= run.runner.prefixCacheBytes;
      },
    ),
    { numRuns: 12 },
  );
  t.true(fullest > 0.75, `${fullest} of the memory were used`);
});

test("a sequence of the whole context runs in the least memory there is, also one of a prompt alone", async (t) => {
  for (const [length, maxTokens] of [
    [20, contextLength - 20],
    [contextLength - 1, 1],
    [contextLength, 0],
  ] as const) {
    const setting = await Setting.create(t, {
      ...{ excess: 1, prefixCacheBytes: 0, hasExperts: true },
    });
    const reading = maxTokens === 0 ? { reading: "embedding" as const } : {};
    await setting.apply({ type: "add", length, maxTokens, task: "code", ...reading });
    await setting.drain();
    const { finish } = setting.run.answer("0");
    t.like(finish, { type: "finish", promptTokens: length, completionTokens: maxTokens });
  }
});

test("sequences that share a wide class give up what they hold too much before another one is admitted", async (t) => {
  const loaded = await load(t);
  const { device } = loaded;
  const run = new LoopRun(loaded, { kvPositions: 128 + 64 + 64 });
  run.add(requestFor("wide", somePrompt(100), { maxTokens: 20 }));
  run.add(requestFor("narrow", somePrompt(20), { maxTokens: 20 }));
  while (run.runner.lastBatch.length < 2) await run.step();
  t.is(device.kvBytes, 2 * run.runner.kvBytesFor(128), "one batch");
  run.add(requestFor("new", somePrompt(30), { maxTokens: 20 }));
  await run.step(3);
  t.is(run.runner.lastBatch.length, 3);
  await run.runToEnd();
  const bytes = 256 * run.kvBytesPerPosition + run.runner.moveBytesFor(128);
  t.true(device.peakKvBytes <= bytes, `${device.peakKvBytes} of ${bytes}`);
});

test("a comparison gives its memory back to sequences that need it, and begins anew", async (t) => {
  const setting = await Setting.create(t, {
    ...{ excess: 1, prefixCacheBytes: 0, hasExperts: false },
  });
  await setting.apply({ type: "add", length: 100, maxTokens: 20, task: "code" });
  const { run, shadow } = setting;
  await run.runToEnd();
  await shadow.step();
  t.true(shadow.kvBytes > 0);
  await setting.apply({ type: "add", length: 300, maxTokens: 90, task: null });
  await run.step();
  t.is(shadow.kvBytes, 0);
  t.true(shadow.hasWork);
  await setting.drain();
  t.is(setting.numCompared, 1);
  setting.check();
});
