import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { serveModel, type ServedModel } from "../helpers/serve-model.ts";
import { writeTinyGguf } from "../helpers/tiny-gguf.ts";

let folder: string;
let served: ServedModel;

test.before(async () => {
  folder = mkdtempSync(join(tmpdir(), "seap-test-"));
  const path = join(folder, "tiny.gguf");
  writeTinyGguf(path);
  served = await serveModel(["--model", path]);
});

test.after.always(async () => {
  await served.stop();
  rmSync(folder, { recursive: true });
});

interface Reply {
  readonly status: number;
  readonly body: {
    readonly error?: { readonly code: string; readonly param: string; readonly message: string };
    readonly usage?: { readonly prompt_tokens: number };
    readonly count?: number;
    readonly prompt?: string;
  };
}

async function post(path: string, body: object): Promise<Reply> {
  const response = await fetch(`${served.url}${path}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  return { status: response.status, body: (await response.json()) as Reply["body"] };
}

/** How often /health answers meanwhile, one after the other. */
async function healthAnswersDuring(work: Promise<unknown>): Promise<number> {
  const state = { isDone: false };
  const ended = work.finally(() => {
    state.isDone = true;
  });
  let numAnswers = 0;
  while (!state.isDone) {
    const response = await fetch(`${served.url}/health`);
    await response.text();
    numAnswers += 1;
  }
  await ended;
  return numAnswers;
}

const texts = {
  digits: "7".repeat(50_000),
  words: "word ".repeat(40_000),
  blanks: " ".repeat(200_000),
};

test.serial("while long prompts are encoded the server goes on answering others", async (t) => {
  const cut = { max_tokens: 1, truncate_prompt_tokens: 8 };
  const made = Object.values(texts).flatMap((text) => [
    post("/v1/completions", { prompt: text, ...cut }),
    post("/v1/chat/completions", { messages: [{ role: "user", content: text }], ...cut }),
  ]);
  // Server and client share a thread: were it held up, there would be an answer or two between prompts.
  t.true((await healthAnswersDuring(Promise.all(made))) > 20);
  for (const { status, body } of await Promise.all(made)) {
    t.is(status, 200);
    t.is(body.usage!.prompt_tokens, 8);
  }
});

test.serial("what is too long is refused, naming the field, and costs little", async (t) => {
  const prompt = "7".repeat(1_000_000);
  const messages = [{ role: "user", content: prompt }];
  for (const [path, body, param] of [
    ["/v1/completions", { prompt }, "prompt"],
    ["/v1/chat/completions", { messages }, "messages"],
    ["/v1/responses", { input: prompt }, "input"],
    ["/v1/embeddings", { input: prompt }, "input"],
    ["/v1/route", { messages }, "messages"],
  ] as const) {
    const reply = await post(path, body);
    t.is(reply.status, 400);
    t.like(reply.body.error, { code: "context_length_exceeded", param });
  }
  for (const [body, param] of [
    [{ prompt }, "prompt"],
    [{ content: prompt }, "content"],
    [{ messages }, "messages"],
  ] as const) {
    const { error } = (await post("/tokenize", body)).body;
    t.like(error, { code: "invalid_request", param });
    t.regex(error!.message, /expected at most 131072 tokens, got at least \d+/);
  }
});

test.serial("long texts are counted and shown as short ones are", async (t) => {
  t.is((await post("/tokenize", { content: "7".repeat(20_000) })).body.count, 20_000);
  const shown = await post("/apply-template", {
    messages: [{ role: "user", content: texts.words }],
  });
  t.true(shown.body.prompt!.includes(texts.words));
});
