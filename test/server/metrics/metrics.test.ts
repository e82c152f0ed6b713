import test from "ava";
import { FakeEngine, Gate } from "../../helpers/fake-engine.ts";
import { startServer } from "../../helpers/start-server.ts";

const messages = [{ role: "user" as const, content: "Hi" }];

test("the metrics agree with the requests that were served", async (t) => {
  const { client, post, metric } = await startServer(t);
  await client.chat.completions.create({ model: "fake", messages });
  const stream = await client.chat.completions.create({ model: "fake", messages, stream: true });
  for await (const chunk of stream) t.truthy(chunk.id);
  await client.completions.create({ model: "fake", prompt: "Once", max_tokens: 1 });
  await post("/v1/completions", {});

  const labels = '{model_name="org/fake",engine="0"';
  const genAi =
    '{gen_ai_operation_name="generate_content",gen_ai_provider_name="seap",gen_ai_request_model="org/fake"';
  const expected = {
    'seap_http_requests_total{endpoint="chat_completions",status="200"}': 2,
    'seap_http_requests_total{endpoint="completions",status="200"}': 1,
    'seap_http_requests_total{endpoint="completions",status="400"}': 1,
    'seap_request_errors_total{code="invalid_request"}': 1,
    'seap_requests_finished_total{finished_reason="stop"}': 2,
    'seap_requests_finished_total{finished_reason="length"}': 1,
    seap_prompt_tokens_total: 8,
    seap_generation_tokens_total: 5,
    seap_time_to_first_token_seconds_count: 3,
    seap_inter_token_latency_seconds_count: 2,
    seap_request_duration_seconds_count: 3,
    seap_request_queue_seconds_sum: 0.003,
    seap_request_prefill_seconds_sum: 0.006,
    seap_request_prompt_tokens_sum: 8,
    seap_request_generation_tokens_sum: 5,
    seap_requests_running: 0,
    seap_requests_waiting: 0,
    seap_kv_cache_usage_ratio: 0,
    [`vllm:request_success_total${labels},finished_reason="stop"}`]: 2,
    [`vllm:prompt_tokens_total${labels}}`]: 8,
    [`vllm:generation_tokens_total${labels}}`]: 5,
    [`vllm:time_to_first_token_seconds_count${labels}}`]: 3,
    [`vllm:inter_token_latency_seconds_count${labels}}`]: 2,
    [`vllm:e2e_request_latency_seconds_count${labels}}`]: 3,
    [`vllm:request_queue_time_seconds_sum${labels}}`]: 0.003,
    [`vllm:request_decode_time_seconds_bucket${labels},le="0.3"}`]: 3,
    [`vllm:num_requests_running${labels}}`]: 0,
    [`vllm:num_requests_waiting${labels}}`]: 0,
    [`vllm:kv_cache_usage_perc${labels}}`]: 0,
    [`gen_ai_server_time_to_first_token_seconds_count${genAi}}`]: 3,
    [`gen_ai_server_time_per_output_token_seconds_count${genAi}}`]: 2,
    [`gen_ai_server_request_duration_seconds_bucket${genAi},le="+Inf"}`]: 3,
  };
  for (const [sample, value] of Object.entries(expected)) {
    const actual = await metric(sample);
    t.true(actual !== undefined && Math.abs(actual - value) < 1e-9, `${sample} is ${actual}`);
  }
});

test("gauges show what the engine is doing while it is doing it", async (t) => {
  const gate = new Gate();
  const engine = new FakeEngine({ maxBatch: 1 });
  engine.script = () => ({ steps: [{ hold: gate }] });
  const { post, metric } = await startServer(t, { engine });
  const answers = [1, 2, 3].map(() => post("/v1/chat/completions", { messages }));
  await engine.until(() => engine.stats().waitingRequests === 2);
  t.is(await metric('vllm:num_requests_running{model_name="org/fake",engine="0"}'), 1);
  t.is(await metric('vllm:num_requests_waiting{model_name="org/fake",engine="0"}'), 2);
  t.is(await metric("seap_waiting_tokens"), 4);
  gate.open();
  await Promise.all(answers);
  t.is(await metric("seap_requests_running"), 0);
});

test("the engine's steps are told by phase, with their batches and what their delivery took", async (t) => {
  const { engine, metric } = await startServer(t);
  const seconds = { kv: 0.001, trunk: 0.002, expert: 0.01, head: 0.003, sample: 0.001 };
  const experts = { code: 3, dense: 2 };
  const drafts = [
    { guessed: 4, accepted: 3 },
    { guessed: 4, accepted: 0 },
  ];
  const decode = { pass: "decode", tokens: 5, seconds, experts, drafts } as const;
  const nothing = { experts: {}, drafts: [] };
  const trunkOnly = { pass: "prefill", tokens: 0, seconds: { trunk: 0.25 }, ...nothing } as const;
  engine.onSteps({ steps: [trunkOnly, decode], preemptions: 2 }, 0.0004);
  engine.onSteps({ steps: [decode], preemptions: 0 }, 0.0006);
  const expected = {
    'seap_engine_step_seconds_count{pass="decode",phase="expert"}': 2,
    'seap_engine_step_seconds_sum{pass="decode",phase="expert"}': 0.02,
    'seap_engine_step_seconds_sum{pass="prefill",phase="trunk"}': 0.25,
    'seap_engine_step_tokens_sum{pass="decode"}': 10,
    'seap_engine_step_tokens_count{pass="prefill"}': undefined,
    'seap_engine_expert_batch_size_sum{expert="code"}': 6,
    'seap_engine_expert_batch_size_bucket{le="2",expert="dense"}': 2,
    seap_draft_tokens_total: 16,
    seap_accepted_draft_tokens_total: 6,
    'seap_accepted_tokens_per_draft_bucket{le="0"}': 2,
    'vllm:spec_decode_num_accepted_tokens_total{model_name="org/fake",engine="0"}': 6,
    seap_preemptions_total: 2,
    seap_http_delivery_seconds_count: 2,
    seap_http_delivery_seconds_sum: 0.001,
    'vllm:iteration_tokens_total_sum{model_name="org/fake",engine="0",pass="decode"}': 10,
    'vllm:num_preemptions_total{model_name="org/fake",engine="0"}': 2,
  };
  for (const [sample, value] of Object.entries(expected)) t.is(await metric(sample), value, sample);
});

test("requests that are refused for a limit are counted by the limit", async (t) => {
  const gate = new Gate();
  const engine = new FakeEngine({ maxBatch: 1, maxWaitingRequests: 1 });
  engine.script = () => ({ steps: [{ hold: gate }] });
  const security = { rateLimit: { requests: 3, perMs: 60_000 } };
  const { post, metric } = await startServer(t, { engine, security });
  const rejections = (reason: string) =>
    metric(`seap_admission_rejections_total{reason="${reason}"}`);
  t.is(await rejections("queue"), 0);
  const answers = [1, 2].map(() => post("/v1/chat/completions", { messages }));
  await engine.until(() => engine.stats().waitingRequests === 1);
  t.is((await post("/v1/chat/completions", { messages })).status, 429);
  t.is((await post("/v1/chat/completions", { messages })).status, 429);
  gate.open();
  await Promise.all(answers);
  t.deepEqual(
    [await rejections("queue"), await rejections("rate"), await rejections("concurrency")],
    [1, 1, 0],
  );
});

test("labels come from closed sets whatever clients send", async (t) => {
  const { get, post } = await startServer(t);
  await get("/some/secret/path");
  await post("/v1/chat/completions", { messages, model: "secret-model", secret_field: 1 });
  const text = await (await get("/metrics")).text();
  t.false(text.includes("secret"));
  t.true(text.includes('seap_http_requests_total{endpoint="other",status="404"} 1'));
});

test("every metric has help, a type and no second registration; those of the process are there", async (t) => {
  const { get } = await startServer(t);
  const response = await get("/metrics");
  t.regex(response.headers.get("content-type")!, /^text\/plain; version=0\.0\.4/);
  const lines = (await response.text()).split("\n");
  const helped = lines
    .filter((line) => line.startsWith("# HELP "))
    .map((line) => line.split(" ")[2]);
  const typed = lines
    .filter((line) => line.startsWith("# TYPE "))
    .map((line) => line.split(" ")[2]);
  t.deepEqual(helped, typed);
  t.is(new Set(helped).size, helped.length);
  t.true(helped.includes("process_resident_memory_bytes"));
});
