import test from "ava";
import type {
  ExpertBuilder,
  ExpertSnapshot,
  ServeReason,
} from "../../../engine/contract/experts.ts";
import { ExpertCommandError } from "../../../engine/contract/errors.ts";
import { ArtifactStore } from "../../../model/experts/artifact-store.ts";
import { serializeExpertPlan } from "../../../model/experts/expert-plan.ts";
import type { ExpertPlan } from "../../../model/experts/expert-plan.ts";
import { ObservedBuilder } from "../../../server/experts/observed-builder.ts";
import type { WireExpertList } from "../../../server/experts/expert-wire.ts";
import { createLog } from "../../../server/base/log.ts";
import { expertSnapshot } from "../../helpers/expert-snapshot.ts";
import { FakeEngine } from "../../helpers/fake-engine.ts";
import { startServer } from "../../helpers/start-server.ts";
import { tempDir } from "../../helpers/temp-dir.ts";

const tasks = ["code", "math", "chat"];
const built = {
  key: "expert-0123",
  storeDir: "/cache/artifacts",
  sizeBytes: 1000,
  sparsity: 0.3,
  lossIncrease: 0.08,
  buildSeconds: 61.5,
};
const noBuilds = { numBuilds: () => 0 };

function engineWith(...snapshots: ExpertSnapshot[]): FakeEngine {
  const engine = new FakeEngine();
  engine.snapshots = snapshots;
  return engine;
}

const resident = expertSnapshot("code", {
  state: "resident",
  residentBytes: 1100,
  built,
  running: 2,
  hits: 7,
  misses: 3,
  evictions: 1,
  evictionReasons: { memory: 1 },
  loads: 2,
  loadsPutOff: 5,
  loadSeconds: 0.25,
  stepSeconds: 0.002,
  lastUsedMs: Date.UTC(2026, 0, 2, 3, 4, 5),
  shadow: { requests: 4, tokens: 80, kl: 0.02, topAgreement: 0.95 },
});
const building = expertSnapshot("math", {
  state: "building",
  progress: { phase: "calibrating", share: 0.4 },
});
const failed = expertSnapshot("chat", {
  state: "failed",
  problem: "no space left",
  retryAtMs: Date.UTC(2026, 0, 2),
});
const dense = expertSnapshot("dense", { state: "resident", residentBytes: 5000 });

const engine = () => engineWith(dense, resident, building, failed);

test("an expert's state, memory, use and quality are listed", async (t) => {
  const experts = { memoryBytes: 2 ** 31, builder: noBuilds };
  const { get } = await startServer(t, { engine: engine(), tasks, experts });
  const response = await get("/v1/experts");
  t.is(response.status, 200);
  const list = (await response.json()) as WireExpertList;
  t.like(list, { object: "list", memory_budget_bytes: 2 ** 31, memory_used_bytes: 1100 });
  const { data } = list;
  t.deepEqual(data[1], {
    id: "code",
    object: "expert",
    state: "resident",
    resident_bytes: 1100,
    size_bytes: 1000,
    artifact: "expert-0123",
    sparsity: 0.3,
    held_out_loss_increase: 0.08,
    build_seconds: 61.5,
    load_seconds: 0.25,
    progress: null,
    running: 2,
    hits: 7,
    misses: 3,
    evictions: 1,
    last_used_at: "2026-01-02T03:04:05.000Z",
    problem: null,
    retry_at: null,
    shadow: { requests: 4, tokens: 80, kl: 0.02, top_agreement: 0.95 },
  });
  t.like(data[2], { id: "math", progress: { phase: "calibrating", share: 0.4 }, artifact: null });
  t.like(data[3], { problem: "no space left", retry_at: "2026-01-02T00:00:00.000Z" });
  t.deepEqual(await (await get("/v1/experts/code")).json(), data[1]);
});

test("an expert's plan comes from its artifact, and is 404 where there is none", async (t) => {
  const store = new ArtifactStore(tempDir(t));
  const layer = { keptHeads: [0, 1], keptKvHeads: [0], keptChannels: [1, 5, 6] };
  const plan: ExpertPlan = {
    schemaVersion: 1,
    modelHash: "0123",
    task: "code",
    recipe: { method: "seap" },
    layers: [layer, layer],
    sparsity: { middle: 0.6, blocks: 0.3, model: 0.2 },
  };
  const content = [Buffer.from(serializeExpertPlan(plan))];
  await store.write("expert-0123", null, [["plan.json", content]]);
  const stored = { ...resident, built: { ...built, storeDir: store.dir } };
  const engine = engineWith(stored, building);
  const { get } = await startServer(t, { engine, tasks });
  t.deepEqual(await (await get("/v1/experts/code/plan")).json(), {
    object: "expert_plan",
    task: "code",
    recipe: { method: "seap" },
    sparsity: plan.sparsity,
    first_layer: 2,
    dense: { heads: 4, kv_heads: 2, channels: 8 },
    layers: plan.layers.map(() => ({
      kept_heads: [0, 1],
      kept_kv_heads: [0],
      kept_channels: [1, 5, 6],
    })),
  });
  await store.remove("expert-0123");
  for (const task of ["math", "code"]) {
    const response = await get(`/v1/experts/${task}/plan`);
    t.is(response.status, 404);
    t.like(await response.json(), { error: { code: "expert_plan_not_found" } });
  }
  t.is((await get("/v1/experts/poetry/plan")).status, 404);
});

test("a command is passed on and answered with the expert, without a body", async (t) => {
  const fake = engine();
  const { get, url } = await startServer(t, { engine: fake, tasks });
  for (const command of ["build", "load", "evict"] as const) {
    const response = await fetch(`${url}/v1/experts/code/${command}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
    });
    t.is(response.status, 202);
    t.like(await response.json(), { id: "code", state: "resident" });
    t.deepEqual(fake.commands.at(-1), ["code", command]);
  }
  t.is((await get("/v1/experts/code/load")).status, 405);
});

test("an unknown expert is 404, an impossible command 409, an unknown command 404", async (t) => {
  const fake = engine();
  fake.commandExpert = () => Promise.reject(new ExpertCommandError("code is in use."));
  const { get, url, metric } = await startServer(t, { engine: fake, tasks });
  const post = (path: string) =>
    fetch(`${url}/v1/experts/${path}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
    });
  const unknown = await post("poetry/load");
  t.is(unknown.status, 404);
  t.deepEqual(await unknown.json(), {
    error: {
      message: 'There is no expert "poetry". There are: dense, code, math, chat.',
      type: "invalid_request_error",
      param: null,
      code: "expert_not_found",
    },
  });
  t.is((await get("/v1/experts/poetry")).status, 404);
  const refused = await post("code/evict");
  t.is(refused.status, 409);
  t.like(await refused.json(), { error: { message: "code is in use.", code: "expert_command" } });
  t.is((await post("code/paint")).status, 404);
  t.is(await metric('seap_http_requests_total{endpoint="experts",status="409"}'), 1);
});

test("without experts the list is empty and commands are refused", async (t) => {
  const { get, url, metric } = await startServer(t);
  t.like(await (await get("/v1/experts")).json(), { data: [], memory_budget_bytes: 0 });
  const response = await fetch(`${url}/v1/experts/code/load`, {
    method: "POST",
    headers: { "content-type": "application/json" },
  });
  t.is(response.status, 404);
  t.regex(await response.text(), /Experts are off/);
  t.is(await metric('seap_expert_hits_total{expert="code"}'), undefined);
});

const reasons: readonly (readonly [ServeReason, string, string])[] = [
  ["expert", "code", "matched"],
  ["building", "general", "building"],
  ["load", "general", "load"],
  ["over-budget", "dense", "over-budget"],
  ["off", "dense", "matched"],
];

for (const [serveReason, expert, told] of reasons) {
  test(`served for the reason ${serveReason} the answer tells ${told}, and how the task was found`, async (t) => {
    const fake = engine();
    const route = { task: "code", confidence: 0.9, reason: "matched" as const };
    fake.script = () => ({ steps: ["Hi"], route, served: { expert, serveReason } });
    const { post, metric } = await startServer(t, { engine: fake, tasks });
    const response = await post("/v1/completions", { prompt: "def f():" });
    t.is(response.headers.get("x-seap-expert"), expert);
    t.is(response.headers.get("x-seap-reason"), told);
    const { seap } = (await response.json()) as { seap: unknown };
    const expected = { task: "code", expert, confidence: 0.9, reason: told, route: "matched" };
    t.deepEqual(seap, expected);
    const labels = `expert="${expert}",task="code",reason="${serveReason}"`;
    t.is(await metric(`seap_expert_requests_total{${labels}}`), 1);
  });
}

test("a header says what happens until the expert is there", async (t) => {
  const fake = engine();
  const { post } = await startServer(t, { engine: fake, tasks });
  const ask = (value?: string) =>
    post(
      "/v1/completions",
      { prompt: "def f():" },
      {
        headers: {
          "content-type": "application/json",
          ...(value && { "x-seap-while-building": value }),
        },
      },
    );
  t.is((await ask("wait")).status, 200);
  t.is(fake.requests.at(-1)!.routing?.whileBuilding, "wait");
  await ask();
  t.is(fake.requests.at(-1)!.routing?.whileBuilding, undefined);
  const refused = await ask("run");
  t.is(refused.status, 400);
  t.like(await refused.json(), {
    error: {
      message: 'Header x-seap-while-building: expected general or wait, got "run".',
      param: "x-seap-while-building",
    },
  });
});

test("the metrics tell each expert's state, memory, use and quality", async (t) => {
  const builder = { numBuilds: (outcome: string) => (outcome === "failed" ? 2 : 1) };
  const experts = { memoryBytes: 4096, builder };
  const { metric, get } = await startServer(t, { engine: engine(), tasks, experts });
  const expected = {
    'seap_expert_state{expert="code",state="resident"}': 1,
    'seap_expert_state{expert="code",state="building"}': 0,
    'seap_expert_state{expert="math",state="building"}': 1,
    'seap_expert_resident_bytes{expert="code"}': 1100,
    'seap_expert_running_requests{expert="code"}': 2,
    'seap_expert_hits_total{expert="code"}': 7,
    'seap_expert_misses_total{expert="code"}': 3,
    'seap_expert_evictions_total{expert="code",reason="memory"}': 1,
    'seap_expert_evictions_total{expert="code",reason="idle"}': 0,
    'seap_expert_loads_total{expert="code"}': 2,
    'seap_expert_loads_put_off_total{expert="code"}': 5,
    'seap_expert_step_seconds{expert="code"}': 0.002,
    'seap_expert_build_seconds{expert="code"}': 61.5,
    'seap_expert_load_seconds{expert="code"}': 0.25,
    'seap_expert_sparsity_ratio{expert="code"}': 0.3,
    'seap_expert_held_out_loss_increase_ratio{expert="code"}': 0.08,
    'seap_expert_shadow_requests_total{expert="code"}': 4,
    'seap_expert_shadow_tokens_total{expert="code"}': 80,
    'seap_expert_shadow_kl_nats{expert="code"}': 0.02,
    'seap_expert_shadow_top_agreement_ratio{expert="code"}': 0.95,
    'seap_expert_builds_total{outcome="built"}': 1,
    'seap_expert_builds_total{outcome="failed"}': 2,
    seap_expert_memory_budget_bytes: 4096,
  };
  for (const [sample, value] of Object.entries(expected)) t.is(await metric(sample), value, sample);
  // What is not known has no sample, and a second scrape adds nothing up.
  t.is(await metric('seap_expert_sparsity_ratio{expert="math"}'), undefined);
  const text = await (await get("/metrics")).text();
  t.regex(
    text,
    /^vllm:lora_requests_info\{max_lora="3",running_lora_adapters="org\/fake:code",waiting_lora_adapters=""\} \d{10}$/m,
  );
});

test("builds are counted by how they end, and their ends are logged", async (t) => {
  const lines: string[] = [];
  const log = createLog("info", (line) => lines.push(line));
  let nowMs = 0;
  let build: ExpertBuilder["build"] = () => Promise.resolve(built);
  const inner: ExpertBuilder = {
    find: () => Promise.resolve(null),
    build: (...args) => build(...args),
  };
  const builder = new ObservedBuilder(inner, log, () => nowMs);
  const controller = new AbortController();
  const steps: string[] = [];
  const start = (task: string) =>
    builder.build(task, {
      signal: controller.signal,
      onProgress: ({ phase }) => void steps.push(phase),
    });

  t.is(await start("code"), built);
  t.regex(lines.join(""), /expert built task="code" sparsity=0\.3 lossIncrease=0\.08/);
  build = (_task, { onProgress }) => {
    onProgress({ phase: "calibrating", share: 0.1 });
    nowMs = 20_000;
    onProgress({ phase: "judging", share: 0.5 });
    return Promise.resolve(null);
  };
  t.is(await start("math"), null);
  t.deepEqual(steps, ["calibrating", "judging"]);
  t.regex(lines.join(""), /task="math" phase="judging" percent=50\n/);
  t.notRegex(lines.join(""), /phase="calibrating"/);
  const failure = new Error("disk full");
  build = () => Promise.reject(failure);
  await t.throwsAsync(start("chat"), { is: failure });
  t.regex(lines.at(-1)!, /warn .*task="chat" .*disk full/);
  controller.abort();
  await t.throwsAsync(start("chat"));
  const outcomes = ["built", "over_budget", "failed", "cancelled"] as const;
  t.deepEqual(
    outcomes.map((outcome) => builder.numBuilds(outcome)),
    [1, 1, 1, 1],
  );
});
