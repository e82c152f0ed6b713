import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import type { WireExpert, WireExpertList } from "../../server/experts/expert-wire.ts";
import { Gate } from "../helpers/fake-engine.ts";
import { serveModel, type ServedModel } from "../helpers/serve-model.ts";
import { writeTinyGguf } from "../helpers/tiny-gguf.ts";
import { TinyExpertSource } from "../helpers/tiny-expert-source.ts";
import { writeTinyRouter } from "../helpers/tiny-router.ts";

const tasks = ["chat", "code", "math"];

let folder: string;
let modelPath: string;
let router: string;

test.before(async () => {
  folder = mkdtempSync(join(tmpdir(), "seap-test-"));
  modelPath = join(folder, "tiny.gguf");
  writeTinyGguf(modelPath);
  router = join(folder, "router.safetensors");
  await writeTinyRouter(router, modelPath, tasks);
});

test.after.always(() => rmSync(folder, { recursive: true }));

interface Setting extends ServedModel {
  readonly source: TinyExpertSource;
}

async function serve(t: ExecutionContext, ...args: string[]): Promise<Setting> {
  const source = new TinyExpertSource(modelPath, mkdtempSync(join(folder, "experts-")), tasks);
  const flags = ["--model", modelPath, "--router", router, "--expert-policy", "task"];
  const served = await serveModel([...flags, ...args], { experts: source });
  t.teardown(() => served.stop());
  return { ...served, source };
}

const withoutGeneral = ["--experts", '{"tasks": {"general": {"serve": false}}}'];
const body = { messages: [{ role: "user" as const, content: "What is 3 + 4?" }], max_tokens: 12 };

async function ask({ client }: ServedModel, task: string, headers: Record<string, string> = {}) {
  const { data, response } = await client.chat.completions
    .create({ ...body, model: `tiny:${task}`, temperature: 0 }, { headers })
    .withResponse();
  const { seap } = data as unknown as { seap: { expert: string; reason: string; route: string } };
  checkHeaders(response, seap);
  return { text: data.choices[0]!.message.content, ...seap };
}

function checkHeaders(response: Response, seap: object): void {
  for (const [name, value] of Object.entries(seap)) {
    const header = response.headers.get(`x-seap-${name}`);
    if (name !== "route" && header !== String(value)) throw new Error(`x-seap-${name}: ${header}`);
  }
}

async function expertsOf({ url }: ServedModel): Promise<WireExpertList> {
  return (await (await fetch(`${url}/v1/experts`)).json()) as WireExpertList;
}

async function statesOf(served: ServedModel): Promise<Record<string, string>> {
  const { data } = await expertsOf(served);
  return Object.fromEntries(data.map(({ id, state }) => [id, state]));
}

const untilState = (served: ServedModel, expert: string, state: string) =>
  served.untilMetric(`seap_expert_state{expert="${expert}",state="${state}"}`, 1);

test("the first request of a task is answered by dense while its expert is built, later ones by it", async (t) => {
  const served = await serve(t);
  const gate = new Gate();
  served.source.gates.set("code", gate);
  const { text: denseText } = await ask(served, "none");

  const first = await ask(served, "code");
  t.like(first, { expert: "dense", reason: "building", route: "override", text: denseText });
  await untilState(served, "code", "building");
  const { data } = await expertsOf(served);
  t.like(
    data.find(({ id }) => id === "code"),
    { state: "building", progress: { phase: "pruning", share: 0.5 }, misses: 1, hits: 0 },
  );

  gate.open();
  await untilState(served, "code", "resident");
  const second = await ask(served, "code");
  t.like(second, { expert: "code", reason: "override", route: "override" });
  t.not(second.text, denseText);
  t.is((await ask(served, "none")).text, denseText);
  t.deepEqual(
    served.source.began.filter((task) => task === "code"),
    ["code"],
  );
  t.is(await served.metric('seap_expert_hits_total{expert="code"}'), 1);
  t.is(
    await served.metric('seap_expert_requests_total{expert="dense",task="code",reason="building"}'),
    1,
  );
  const names = (await served.client.models.list()).data.map(({ id }) => id);
  t.deepEqual(names, ["tiny", ...tasks.map((task) => `tiny:${task}`)]);
});

test("an expert gives the same text alone, among others and streamed", async (t) => {
  const served = await serve(t, "--preload", tasks.join(","));
  for (const task of tasks) await untilState(served, task, "resident");
  const alone = new Map<string, string | null>();
  for (const task of tasks) alone.set(task, (await ask(served, task)).text);
  t.is(new Set(alone.values()).size, tasks.length);
  const mixed = [...tasks, ...tasks, ...tasks, ...tasks];
  const together = await Promise.all(mixed.map((task) => ask(served, task)));
  for (const [index, task] of mixed.entries()) {
    t.like(together[index], { expert: task, text: alone.get(task) });
  }
  const stream = await served.client.chat.completions.create({
    ...body,
    model: "tiny:math",
    temperature: 0,
    stream: true,
  });
  let streamed = "";
  for await (const chunk of stream) streamed += chunk.choices[0]?.delta.content ?? "";
  t.is(streamed, alone.get("math") ?? "");
});

test("in memory for two experts the third takes the place of the one that was not used for longest", async (t) => {
  const { sizeBytes } = await new TinyExpertSource(modelPath, folder, tasks).build("code");
  const budget = Math.floor(2.5 * sizeBytes);
  const served = await serve(t, "--expert-memory", String(budget), ...withoutGeneral);
  for (const task of ["code", "math"]) {
    await ask(served, task);
    await untilState(served, task, "resident");
  }
  t.is((await ask(served, "code")).expert, "code");
  t.is((await ask(served, "math")).expert, "math");
  t.is((await ask(served, "chat")).expert, "dense");
  await untilState(served, "chat", "resident");
  t.like(await statesOf(served), { chat: "resident", code: "stored", math: "resident" });
  const { memory_budget_bytes: given, memory_used_bytes: used } = await expertsOf(served);
  t.is(given, budget);
  t.true(used > 0 && used <= budget, String(used));
  t.is(await served.metric('seap_expert_evictions_total{expert="code",reason="memory"}'), 1);
});

test("where the request or the configuration says so, a prompt waits for its expert", async (t) => {
  const served = await serve(t, "--while-building", "wait");
  const gates = new Map(tasks.map((task) => [task, new Gate()]));
  for (const [task, gate] of gates) served.source.gates.set(task, gate);
  const waiting = ask(served, "code");
  await untilState(served, "code", "building");
  const impatient = await ask(served, "code", { "x-seap-while-building": "general" });
  t.like(impatient, { expert: "dense", reason: "building" });
  gates.get("code")!.open();
  t.like(await waiting, { expert: "code", reason: "override" });
});

test("by default nothing waits, but for a request that asks to", async (t) => {
  const served = await serve(t);
  const gate = new Gate();
  served.source.gates.set("math", gate);
  const waiting = ask(served, "math", { "x-seap-while-building": "wait" });
  await untilState(served, "math", "building");
  t.is((await ask(served, "math")).expert, "dense");
  gate.open();
  t.is((await waiting).expert, "math");
});

test("experts are built, loaded and evicted on command", async (t) => {
  const served = await serve(t, ...withoutGeneral);
  const command = async (path: string) => {
    const response = await fetch(`${served.url}/v1/experts/${path}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
    });
    return { status: response.status, ...((await response.json()) as WireExpert) };
  };
  t.is((await command("code/build")).status, 202);
  await served.untilMetric('seap_expert_builds_total{outcome="built"}', 1);
  await untilState(served, "code", "stored");
  const loaded = await command("code/load");
  t.is(loaded.status, 202);
  await untilState(served, "code", "resident");
  t.is((await ask(served, "code")).expert, "code");
  t.is((await command("code/evict")).status, 202);
  await untilState(served, "code", "stored");
  t.is((await command("dense/evict")).status, 409);
  t.is((await command("poetry/load")).status, 404);
  t.like(await statesOf(served), { chat: "absent", code: "stored", math: "absent" });
});

test("a task that is not served is answered by dense", async (t) => {
  const settings = JSON.stringify({ tasks: { chat: { serve: false } } });
  const served = await serve(t, "--experts", settings);
  t.like(await ask(served, "chat"), { expert: "dense", reason: "override" });
  t.is((await statesOf(served))["chat"], "off");
  t.deepEqual(served.source.began, []);
});
