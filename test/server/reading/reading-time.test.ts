import test from "ava";
import { FakeCodec } from "../../helpers/fake-codec.ts";
import { startServer } from "../../helpers/start-server.ts";

const text = FakeCodec.endless;
const messages = [{ role: "user", content: text }];

for (const [path, body, param] of [
  ["/v1/chat/completions", { messages }, "messages"],
  ["/v1/completions", { prompt: ["a", text] }, "prompt"],
  ["/v1/completions", { prompt: "a", bad_words: [text] }, "bad_words"],
  ["/v1/responses", { input: text }, "input"],
  ["/v1/embeddings", { input: text }, "input"],
  ["/v1/route", { messages }, "messages"],
  ["/v1/route", { prompt: text }, "prompt"],
  ["/tokenize", { prompt: text }, "prompt"],
  ["/tokenize", { content: text }, "content"],
  ["/tokenize", { messages }, "messages"],
  ["/apply-template", { messages }, "messages"],
] as const) {
  test(`${path} refuses ${param} that takes too long to read`, async (t) => {
    const { post } = await startServer(t);
    const response = await post(path, body);
    t.is(response.status, 400);
    const { error } = (await response.json()) as { error: object };
    t.like(error, {
      code: "invalid_request",
      param,
      message: `${param}: takes too long to read. The task takes more than 1 ms.`,
    });
  });
}

test("more answers than may wait are refused before anything is read", async (t) => {
  const { post } = await startServer(t);
  const prompt = Array.from({ length: 300 }, () => text);
  const response = await post("/v1/completions", { prompt });
  t.is(response.status, 400);
  const { error } = (await response.json()) as { error: { message: string } };
  t.regex(error.message, /^300 prompts with n 1 are more answers than may wait/);
});
