import { once } from "node:events";
import { readdirSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import OpenAI from "openai";
import { runSeap } from "../helpers/seap-process.ts";
import { tempDir } from "../helpers/temp-dir.ts";
import { writeTinyGguf } from "../helpers/tiny-gguf.ts";

function tinyModelPath(t: ExecutionContext): string {
  const path = join(tempDir(t), "tiny.gguf");
  writeTinyGguf(path);
  return path;
}

test("SIGTERM lets a running answer end, takes no new request, and exits with 0", async (t) => {
  const seap = runSeap(t, ["serve", "--port", "0", "--router", "off", "--model", tinyModelPath(t)]);
  const url = /http:[^"]+/.exec(await seap.untilLine("listening"))![0];
  await seap.untilLine("model ready");
  const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "none", maxRetries: 0 });
  const params = { model: "tiny", prompt: "Tell me", max_tokens: 300, ignore_eos: true, seed: 1 };
  const stream = await client.completions.create({
    ...params,
    stream: true,
    stream_options: { include_usage: true },
  });
  let completionTokens: number | undefined;
  let isFirst = true;
  for await (const chunk of stream) {
    if (isFirst) {
      seap.child.kill("SIGTERM");
      await seap.untilLine("stopping");
      await t.throwsAsync(client.completions.create(params));
    }
    isFirst = false;
    completionTokens = chunk.usage?.completion_tokens ?? completionTokens;
  }
  t.is(completionTokens, 300);
  t.is(await seap.ended, 0);
});

test("E12: a second signal while answering ends the process with 1 at once, and without an abort", async (t) => {
  const seap = runSeap(t, ["serve", "--port", "0", "--router", "off", "--model", tinyModelPath(t)]);
  const url = /http:[^"]+/.exec(await seap.untilLine("listening"))![0];
  await seap.untilLine("model ready");
  const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "none", maxRetries: 0 });
  const params = { model: "tiny", prompt: "Tell me", max_tokens: 20_000, ignore_eos: true };
  const streams = await Promise.all(
    [1, 2, 3, 4].map((seed) => client.completions.create({ ...params, seed, stream: true })),
  );
  const broken = streams.map((stream) => t.throwsAsync(readAll(stream)));
  seap.child.kill("SIGHUP");
  await seap.untilLine("stopping");
  seap.child.kill("SIGTERM");
  t.is(await seap.ended, 1);
  t.notRegex(seap.stderr(), /terminate called/);
  await Promise.all(broken);
});

async function readAll(stream: AsyncIterable<unknown>): Promise<void> {
  const events = stream[Symbol.asyncIterator]();
  while (!(await events.next()).done);
}

test("ONNX Runtime reports nothing: it leaves no number for this machine behind", async (t) => {
  const home = tempDir(t);
  const args = ["serve", "--port", "0", "--router", "off", "--experts", "off"];
  const seap = runSeap(t, [...args, "--model", tinyModelPath(t)], {
    HOME: home,
    XDG_CACHE_HOME: join(home, "cache"),
    ORT_DISABLE_TELEMETRY: "",
  });
  await seap.untilLine("model ready");
  seap.child.kill("SIGTERM");
  t.is(await seap.ended, 0);
  const left = readdirSync(home, { recursive: true, encoding: "utf8" });
  t.deepEqual(
    left.filter((path) => /microsoft|onnxruntime/i.test(path)),
    [],
  );
});

test("a flag that does not fit is a message and exit status 2", async (t) => {
  const seap = runSeap(t, ["serve", "--max-batch", "none"]);
  t.is(await seap.ended, 2);
  t.is(seap.stderr(), 'seap serve: --max-batch: expected an integer from 1 to 1024, got "none"');
});

test("a port in use is a message and exit status 1", async (t) => {
  const other = createServer().listen(0, "127.0.0.1");
  t.teardown(() => other.close());
  await once(other, "listening");
  const { port } = other.address() as AddressInfo;
  const seap = runSeap(t, ["serve", "--port", String(port), "--model", tinyModelPath(t)]);
  t.is(await seap.ended, 1);
  t.regex(seap.stderr(), new RegExp(`^seap serve: Cannot listen on 127.0.0.1 port ${port}: .+$`));
});

test("a model file that is missing is a message and exit status 1", async (t) => {
  const seap = runSeap(t, ["serve", "--port", "0", "--model", "/nowhere/model.gguf"]);
  t.is(await seap.ended, 1);
  t.regex(seap.stderr(), /\nseap serve: .*\/nowhere\/model\.gguf.*no such file[^\n]*$/);
});

test("a model file that is damaged is a message and exit status 1", async (t) => {
  const seap = runSeap(t, ["serve", "--port", "0", "--model", "package.json"]);
  t.is(await seap.ended, 1);
  t.regex(seap.stderr(), /\nseap serve: .*package\.json[^\n]*$/);
});

test("the first start fits a router while it answers already, the next reads it", async (t) => {
  const model = tinyModelPath(t);
  const flags = ["--port", "0", "--experts", "off", "--cache-dir", tempDir(t)];
  const args = ["serve", "--model", model, ...flags];
  for (const isFirst of [true, false]) {
    const seap = runSeap(t, args);
    const url = /http:[^"]+/.exec(await seap.untilLine("listening"))![0];
    await seap.untilLine("model ready");
    const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "none", maxRetries: 0 });
    const reason = async () => {
      const params = { model: "tiny", prompt: "What is 3 + 4?", max_tokens: 1 };
      const { response } = await client.completions.create(params).withResponse();
      return response.headers.get("x-seap-reason");
    };
    if (isFirst) t.is(await reason(), "no-router");
    await seap.untilLine("routing prompts");
    t.true(["matched", "out-of-distribution"].includes((await reason())!));
    const { data } = await client.models.list();
    t.true(data.some(({ id }) => id === "tiny:math"));
    seap.child.kill("SIGTERM");
    t.is(await seap.ended, 0);
  }
});

test("SIGTERM ends a router in the making, too", async (t) => {
  const model = tinyModelPath(t);
  const seap = runSeap(t, ["serve", "--port", "0", "--model", model, "--cache-dir", tempDir(t)]);
  await seap.untilLine("model ready");
  seap.child.kill("SIGTERM");
  t.is(await seap.ended, 0);
  t.notRegex(seap.stderr(), /routing prompts|not routed/);
});
