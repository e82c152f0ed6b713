import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { type Browser, chromium, type Page } from "playwright-core";
import { FakeEngine, Gate } from "../helpers/fake-engine.ts";
import { findChromium } from "../helpers/find-chromium.ts";
import { serveModel } from "../helpers/serve-model.ts";
import { startServer } from "../helpers/start-server.ts";
import { TinyExpertSource } from "../helpers/tiny-expert-source.ts";
import { writeTinyGguf } from "../helpers/tiny-gguf.ts";
import { writeTinyRouter } from "../helpers/tiny-router.ts";

const tasks = ["chat", "code", "math"];
const executablePath = findChromium();

let folder: string;
let modelPath: string;
let router: string;
let browser: Browser;

test.before(async () => {
  if (executablePath === undefined) return;
  folder = mkdtempSync(join(tmpdir(), "seap-test-"));
  modelPath = join(folder, "tiny.gguf");
  writeTinyGguf(modelPath);
  router = join(folder, "router.safetensors");
  await writeTinyRouter(router, modelPath, tasks);
  // As root, which containers mostly are, its sandbox does not start.
  browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
});

test.after.always(async () => {
  if (executablePath === undefined) return;
  await browser.close();
  rmSync(folder, { recursive: true });
});

/** Where there is no browser, the test says so and passes. */
function testPage(title: string, run: (t: ExecutionContext) => Promise<void>): void {
  test(title, async (t) => {
    if (executablePath !== undefined) return run(t);
    t.log("skipped: there is no Chromium on this machine (Debian's package chromium)");
    t.pass();
  });
}

interface Opened {
  readonly page: Page;
  /** What the browser complained of. */
  readonly complaints: string[];
}

async function openPage(
  t: ExecutionContext,
  url: string,
  viewport = { width: 1280, height: 900 },
): Promise<Opened> {
  const context = await browser.newContext({ viewport });
  t.teardown(() => context.close());
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) complaints.push(message.text());
  });
  await page.goto(url);
  return { page, complaints };
}

/** The tiny model with experts and a router. */
async function serve(t: ExecutionContext, ...flags: string[]) {
  const source = new TinyExpertSource(modelPath, mkdtempSync(join(folder, "experts-")), tasks);
  const usual = ["--model", modelPath, "--router", router, "--expert-policy", "task"];
  const served = await serveModel([...usual, ...flags], { experts: source });
  t.teardown(() => served.stop());
  return { ...served, source };
}

/** As far as tests look at it. */
interface Canvas {
  readonly width: number;
  getContext(kind: "2d"): {
    getImageData(x: number, y: number, width: number, height: number): { data: Uint8Array };
  };
}

const promptOf = (page: Page) => page.getByLabel("Prompt", { exact: true });
const answersOf = (page: Page) => page.locator(".answer");
const rowOf = (page: Page, expert: string) =>
  page.getByRole("row").filter({ has: page.getByRole("rowheader", { name: expert }) });

/** All of them have ended. */
async function untilAnswered(page: Page, count: number): Promise<void> {
  await page
    .locator('.answer[aria-busy="false"]', { hasText: "tokens/s" })
    .nth(count - 1)
    .waitFor();
}

testPage("a prompt is answered, with what was decided on it, and is on the map", async (t) => {
  const { url, metric } = await serve(t);
  const { page, complaints } = await openPage(t, url);
  await page.getByLabel("Most tokens").fill("12");
  await promptOf(page).fill("What is 3 + 4?");
  await page.getByRole("button", { name: "Send" }).click();
  await untilAnswered(page, 1);
  const facts = await page.locator(".facts").innerText();
  for (const fact of ["task", "confidence", "expert", "tokens/s", "first token"]) {
    t.true(facts.includes(fact), facts);
  }
  await page.getByRole("img", { name: "Map of 12 clusters of 3 tasks and 1 prompts" }).waitFor();
  t.regex(
    await page.getByRole("list", { name: "Prompts on the map" }).innerText(),
    /What is 3 \+ 4\?/,
  );
  t.true(((await metric("seap_generation_tokens_total")) ?? 0) > 0);
  await page.getByRole("button", { name: "New chat" }).click();
  t.is(await answersOf(page).count(), 0);
  t.is(await page.evaluate("document.activeElement.id"), "prompt");
  t.deepEqual(complaints, []);
});

testPage("an expert is built on a click, its progress shown, and then its plan", async (t) => {
  const { url, source } = await serve(t);
  const { page, complaints } = await openPage(t, url);
  const gate = new Gate();
  source.gates.set("code", gate);
  await page.getByRole("button", { name: "Load code" }).click();
  const progress = page.getByRole("progressbar", { name: "code: pruning" });
  await progress.waitFor();
  t.is(await progress.getAttribute("value"), "0.5");
  gate.open();
  await rowOf(page, "code").getByText("resident").waitFor();
  await page.getByRole("button", { name: "Plan of code" }).click();
  await page.getByText("Of the middle's weights").waitFor();
  const pixels = await page
    .getByRole("img", { name: "Kept channels" })
    .evaluate((element: unknown) => {
      const canvas = element as Canvas;
      return [...canvas.getContext("2d").getImageData(0, 0, canvas.width, 1).data];
    });
  const alphas = pixels.filter((_, index) => index % 4 === 3);
  t.is(alphas.filter((alpha) => alpha === 255).length / alphas.length, 2 / 3);
  await page.getByRole("button", { name: "Evict code" }).click();
  await rowOf(page, "code").getByText("stored").waitFor();
  t.deepEqual(complaints, []);
});

testPage("an expert answers beside dense", async (t) => {
  const { url, untilMetric } = await serve(t, "--preload", "code");
  await untilMetric('seap_expert_state{expert="code",state="resident"}', 1);
  const { page, complaints } = await openPage(t, url);
  await page.getByLabel("Expert", { exact: true }).selectOption("code");
  await page.getByLabel("beside dense").check();
  await page.getByLabel("Most tokens").fill("8");
  await promptOf(page).fill("def add(a, b):");
  await promptOf(page).press("Enter");
  await untilAnswered(page, 2);
  t.deepEqual(await page.locator(".answer h3").allInnerTexts(), ["code", "dense"]);
  const [first, second] = await page.locator(".answer .text").allInnerTexts();
  t.not(first, second);
  t.deepEqual(complaints, []);
});

testPage("an answer that is stopped keeps what has come, and the next one is asked", async (t) => {
  const engine = new FakeEngine();
  engine.script = ({ reading }) => ({
    steps: reading === undefined ? ["Once", " upon", { hold: new Gate() }] : [],
  });
  const { url } = await startServer(t, { engine });
  const { page, complaints } = await openPage(t, url);
  await promptOf(page).fill("Tell me");
  await promptOf(page).press("Enter");
  await page.getByText("Once upon").waitFor();
  await page.getByRole("button", { name: "Stop" }).click();
  await page.getByText("stopped", { exact: true }).waitFor();
  engine.script = () => ({ steps: [" a", " time"] });
  await promptOf(page).fill("Go on");
  await promptOf(page).press("Enter");
  await untilAnswered(page, 1);
  t.deepEqual(await page.locator(".answer .text").allInnerTexts(), ["Once upon", " a time"]);
  t.is(engine.cancelledIds.length, 1);
  t.deepEqual(complaints, []);
});

testPage("all is to be had with the keyboard", async (t) => {
  const { url } = await serve(t);
  const { page, complaints } = await openPage(t, url);
  const focused = () =>
    page.evaluate<string>("document.activeElement.ariaLabel ?? document.activeElement.innerText");
  await promptOf(page).waitFor();
  await page.keyboard.press("Tab");
  t.is(await focused(), "Skip to the prompt");
  await page.keyboard.press("Enter");
  await page.keyboard.press("Tab");
  const seen: string[] = [];
  for (let i = 0; i < 12; i++) {
    await page.keyboard.press("Tab");
    seen.push((await focused()).trim());
  }
  for (const name of ["Send", "Build chat", "Load math"]) t.true(seen.includes(name), name);
  await promptOf(page).focus();
  await page.keyboard.type("Hi");
  await page.keyboard.press("Shift+Enter");
  await page.keyboard.type("there");
  await page.keyboard.press("Enter");
  await answersOf(page).first().waitFor();
  t.is(await page.locator(".turn .prompt").innerText(), "Hi\nthere");
  t.is(await promptOf(page).inputValue(), "");
  t.deepEqual(complaints, []);
});

for (const colorScheme of ["light", "dark"] as const) {
  testPage(`on a phone, ${colorScheme}, nothing lies beside the screen`, async (t) => {
    const { url } = await serve(t);
    const { page, complaints } = await openPage(t, url, { width: 390, height: 844 });
    await page.emulateMedia({ colorScheme });
    await promptOf(page).fill("x".repeat(200));
    await promptOf(page).press("Enter");
    await answersOf(page).first().waitFor();
    await page.getByRole("heading", { name: "Last minutes" }).waitFor();
    t.is(await page.evaluate("document.documentElement.scrollWidth"), 390);
    t.deepEqual(complaints, []);
  });
}

testPage(
  "where the server wants a key the page asks for it, and forgets it with the tab",
  async (t) => {
    const { url } = await serve(t, "--api-key", "secret");
    const { page } = await openPage(t, url);
    const key = page.getByLabel("API key");
    await key.fill("wrong");
    await key.press("Enter");
    await page.getByRole("alert").waitFor();
    await key.fill("secret");
    await key.press("Enter");
    await page.getByRole("rowheader", { name: "code" }).waitFor();
    await page.getByLabel("Most tokens").fill("4");
    await promptOf(page).fill("Hi");
    await promptOf(page).press("Enter");
    await untilAnswered(page, 1);
    t.is(await page.evaluate("sessionStorage.length"), 1);
    t.is(await page.evaluate("localStorage.length + document.cookie.length"), 0);
    await page.getByRole("button", { name: "Forget it now" }).click();
    await key.waitFor();
    t.is(await page.evaluate("sessionStorage.length"), 0);
  },
);
