import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createWriteStream, mkdirSync, readFileSync } from "node:fs";
import { createServer } from "node:net";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { chromium } from "playwright-core";
import { findChromium } from "../../dist/test/helpers/find-chromium.js";
import { apiKey, baseURL, check, model } from "./checks.mjs";
import { temporary } from "./programs.mjs";

// Open WebUI in front of the server, used through a browser as a person does.

const startMs = 300_000;
const actionMs = 120_000;
/** What a person would see, to look at after the run. */
const picture = ".cache/clients-open-webui.png";
const folder = join(temporary, "open-webui");
const logPath = join(folder, "log.txt");

async function freePort() {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = probe.address();
  probe.close();
  return port;
}

async function startWebui(port) {
  mkdirSync(folder, { recursive: true });
  const program = join(dirname(process.env.SEAP_TEST_PYTHON), "open-webui");
  const child = spawn(program, ["serve", "--host", "127.0.0.1", "--port", String(port)], {
    cwd: folder,
    env: {
      ...process.env,
      DATA_DIR: join(folder, "data"),
      WEBUI_AUTH: "False",
      WEBUI_SECRET_KEY: "a key of the tests, which nobody else is to use",
      OPENAI_API_BASE_URL: baseURL,
      OPENAI_API_KEY: apiKey,
      ENABLE_OLLAMA_API: "False",
      // Noise has no end, and these have no limit; chats still get titles.
      ENABLE_FOLLOW_UP_GENERATION: "False",
      ENABLE_TAGS_GENERATION: "False",
      // What would bring models of its own, which is most of the packages that are left out.
      RAG_EMBEDDING_ENGINE: "openai",
      AUDIO_STT_ENGINE: "openai",
      OFFLINE_MODE: "True",
      HF_HUB_OFFLINE: "1",
      ANONYMIZED_TELEMETRY: "False",
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const log = createWriteStream(logPath);
  child.stdout.pipe(log);
  child.stderr.pipe(log);
  const url = `http://127.0.0.1:${port}`;
  const deadline = Date.now() + startMs;
  while (Date.now() < deadline && child.exitCode === null) {
    const response = await fetch(`${url}/health`).catch(() => undefined);
    if (response?.ok) return { child, url };
    await delay(250);
  }
  child.kill("SIGKILL");
  throw new Error(`Open WebUI did not start:\n${readFileSync(logPath, "utf8").slice(-4000)}`);
}

/** What the page's answers are to be made with. */
function setParams(page, params) {
  return page.evaluate(async (wanted) => {
    const headers = {
      authorization: `Bearer ${globalThis.localStorage.token}`,
      "content-type": "application/json",
    };
    const path = "/api/v1/configs/models";
    const config = await (await fetch(path, { headers })).json();
    const body = JSON.stringify({ ...config, DEFAULT_MODEL_PARAMS: wanted });
    const { ok, status } = await fetch(path, { method: "POST", headers, body });
    if (!ok) throw new Error(`${path} answered ${status}`);
  }, params);
}

/** The server's metric of this name and these labels, 0 where it has none. */
async function metric(name) {
  const response = await fetch(`${baseURL.replace(/\/v1$/, "")}/metrics`, {
    headers: { authorization: `Bearer ${apiKey}` },
  });
  const line = (await response.text()).split("\n").find((text) => text.startsWith(`${name} `));
  return Number(line?.split(" ").at(-1) ?? 0);
}

async function until(condition, what) {
  const deadline = Date.now() + actionMs;
  while (!(await condition())) {
    assert.ok(Date.now() < deadline, `waited for ${what} in vain`);
    await delay(50);
  }
}

async function ask(page, text) {
  await page.locator("#chat-input").click();
  await page.keyboard.type(text);
  await page.keyboard.press("Enter");
}

const answerOf = (page) => page.locator(".chat-assistant").last();
const textOf = async (page) => (await answerOf(page).innerText()).trim();
const stopOf = (page) => page.getByRole("button", { name: "Stop", exact: true });

const { child, url } = await startWebui(await freePort());
const browser = await chromium.launch({
  executablePath: findChromium(),
  args: ["--no-sandbox"],
});
try {
  const page = await browser.newPage({ viewport: { width: 1280, height: 860 } });
  page.setDefaultTimeout(actionMs);
  await page.goto(url);
  await page.getByRole("button", { name: "Okay, Let's Go!" }).click();
  const shortAnswers = { max_tokens: 40, custom_params: { ignore_eos: true } };

  await check("the server's model is there, and is picked", async () => {
    await page.locator("#model-selector-model-button").click();
    await page.getByRole("option", { name: `Select ${model} model` }).click();
    await page.getByRole("button", { name: `Selected model: ${model}` }).waitFor();
  });

  await check("a prompt is answered, and a second one with it in mind", async () => {
    await setParams(page, shortAnswers);
    await ask(page, "Tell me something.");
    await page.getByRole("button", { name: "Regenerate" }).last().waitFor();
    const first = await textOf(page);
    assert.ok(first.length > 0);
    await ask(page, "Go on.");
    await until(async () => (await page.locator(".chat-assistant").count()) === 2, "an answer");
    await stopOf(page).waitFor({ state: "detached" });
    assert.ok((await textOf(page)).length > 0);
    assert.notEqual(await textOf(page), first);
  });

  await check("an answer is written anew", async () => {
    await page.getByRole("button", { name: "Regenerate" }).last().click();
    await page.getByText("Try Again", { exact: true }).click();
    await page.getByText(/^2\s*\/\s*2$/).waitFor();
    await stopOf(page).waitFor({ state: "detached" });
    assert.ok((await textOf(page)).length > 0);
  });

  await check("an answer is stopped: what came stays, and the server works no more", async () => {
    await until(async () => (await metric("seap_requests_running")) === 0, "titles and tags");
    const numCancelled = await metric('seap_request_errors_total{code="cancelled"}');
    await setParams(page, { custom_params: { ignore_eos: true } });
    await page.goto(url);
    await ask(page, "Tell me everything.");
    await until(async () => (await textOf(page)).length > 40, "the first words");
    await stopOf(page).click();
    await stopOf(page).waitFor({ state: "detached" });
    const name = 'seap_request_errors_total{code="cancelled"}';
    await until(async () => (await metric(name)) > numCancelled, "the end of the request");
    assert.ok((await textOf(page)).length > 40);
  });

  await page.screenshot({ path: picture });
  await check("no request of the page was refused", async () => {
    const refused = ["400", "404", "422", "500"].map((status) =>
      metric(`seap_http_requests_total{endpoint="chat_completions",status="${status}"}`),
    );
    assert.deepEqual(await Promise.all(refused), [0, 0, 0, 0]);
  });
} finally {
  await browser.close();
  child.kill("SIGTERM");
  await once(child, "exit");
}
