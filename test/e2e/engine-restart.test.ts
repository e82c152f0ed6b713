import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import OpenAI from "openai";
import { deadly, hanging } from "../helpers/fragile.ts";
import { runSeap } from "../helpers/seap-process.ts";
import { tempDir } from "../helpers/temp-dir.ts";
import { writeTinyGguf } from "../helpers/tiny-gguf.ts";

/** `seap serve` with a tiny model, and an engine whose thread requests can end. */
async function serve(t: ExecutionContext, ...args: readonly string[]) {
  const model = join(tempDir(t), "tiny.gguf");
  writeTinyGguf(model);
  const seap = runSeap(
    t,
    ["serve", "--port", "0", "--router", "off", "--model", model, ...args],
    {},
    "dist/test/helpers/fragile-serve.js",
  );
  const url = /http:[^"]+/.exec(await seap.untilLine("listening"))![0];
  await seap.untilLine("model ready");
  const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "none", maxRetries: 0 });
  const ask = (more: object = {}) =>
    client.completions.create({
      ...{ model: "tiny", prompt: "Tell me", max_tokens: 5, seed: 1, ...more },
      stream: false,
    });
  const sample = async (name: string) => {
    const text = await (await fetch(`${url}/metrics`)).text();
    return text.split("\n").find((line) => line.startsWith(`${name} `));
  };
  return { seap, url, ask, sample };
}

test("an engine's thread that dies is said in the log, is not ready, comes back and counts; too often in a row, and the process exits with 1", async (t) => {
  const { seap, url, ask, sample } = await serve(t, "--engine-restarts", "1");
  const before = await ask();
  const running = t.throwsAsync(ask({ max_tokens: 3000, ignore_eos: true }));
  await t.throwsAsync(ask({ stop: [deadly] }), { message: /^503 The engine failed/ });
  const ready = await fetch(`${url}/ready`);
  t.is(ready.status, 503);
  t.is(ready.headers.get("retry-after"), "2");
  t.is((await fetch(`${url}/health`)).status, 200);
  t.regex((await running).message, /^503 The engine failed/);
  t.regex(await seap.untilLine("engine failed"), /error engine failed .*restartInMs=500.*killed/);
  t.is(await sample("seap_engine_up"), "seap_engine_up 0");
  await seap.untilLine("engine restarted");
  t.is((await fetch(`${url}/ready`)).status, 200);
  t.is(await sample("seap_engine_up"), "seap_engine_up 1");
  t.is(await sample("seap_engine_restarts_total"), "seap_engine_restarts_total 1");
  t.is((await ask()).choices[0]!.text, before.choices[0]!.text);
  await t.throwsAsync(ask({ stop: [deadly] }), { message: /^503/ });
  t.is(await seap.ended, 1);
  t.regex(seap.stderr(), /the engine does not come back: exiting/);
});

test("a thread that hangs in native code ends the process, which an exit would not", async (t) => {
  const { seap, ask } = await serve(t, "--engine-timeout-seconds", "0.5");
  await t.throwsAsync(ask({ stop: [hanging] }));
  await seap.ended;
  t.is(seap.child.signalCode, "SIGKILL");
  t.regex(seap.stderr(), /engine failed .*has not answered for 0.5 s/);
});
