import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import OpenAI from "openai";
import { serveModel, type ServedModel } from "../helpers/serve-model.ts";
import { writeTinyGguf } from "../helpers/tiny-gguf.ts";

let folder: string;
let served: ServedModel;

test.before(async () => {
  folder = mkdtempSync(join(tmpdir(), "seap-test-"));
  const path = join(folder, "tiny.gguf");
  writeTinyGguf(path);
  served = await serveModel(["--model", path, "--max-batch", "1"]);
});

test.after.always(async () => {
  await served.stop();
  rmSync(folder, { recursive: true });
});

const running = "seap_requests_running";
const waiting = "seap_requests_waiting";
const aborted = 'seap_requests_finished_total{finished_reason="abort"}';

/** Would go on for half a minute. */
const endless = { model: "tiny", prompt: "Tell me", max_tokens: 30_000, ignore_eos: true, seed: 1 };
const short = { model: "tiny", prompt: "Tell me", max_tokens: 5, ignore_eos: true, seed: 1 };

test.serial("D18: a client that leaves in mid-stream frees the slot", async (t) => {
  const before = (await served.metric(aborted)) ?? 0;
  const stream = await served.client.completions.create({ ...endless, stream: true });
  for await (const chunk of stream) if (chunk.choices[0]?.text !== "") break;
  await served.untilMetric(running, 0);
  await served.untilMetric(aborted, before + 1);
  const next = await served.client.completions.create(short);
  t.is(next.usage?.completion_tokens, 5);
});

test.serial(
  "D18: a client that leaves before the whole answer is ready frees the slot",
  async (t) => {
    const leaving = new AbortController();
    const answer = served.client.completions.create(endless, { signal: leaving.signal });
    await served.untilMetric(running, 1);
    leaving.abort();
    await t.throwsAsync(answer, { instanceOf: OpenAI.APIUserAbortError });
    await served.untilMetric(running, 0);
    t.is((await served.client.completions.create(short)).usage?.completion_tokens, 5);
  },
);

test.serial("D17: a client that leaves while queued is never run", async (t) => {
  const first = await served.client.completions.create({ ...endless, stream: true });
  await served.untilMetric(running, 1);
  const generated = "seap_request_generation_tokens_count";
  const leaving = new AbortController();
  const queued = served.client.completions.create(endless, { signal: leaving.signal });
  await served.untilMetric(waiting, 1);
  leaving.abort();
  await t.throwsAsync(queued, { instanceOf: OpenAI.APIUserAbortError });
  await served.untilMetric(waiting, 0);
  t.is(await served.metric(running), 1);
  const finished = await served.metric(generated);
  const next = served.client.completions.create(short);
  await served.untilMetric(waiting, 1);
  first.controller.abort();
  t.is((await next).usage?.completion_tokens, 5);
  t.is(await served.metric(generated), finished! + 1);
});
