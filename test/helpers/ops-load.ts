import type { ExecutionContext } from "ava";
import { openSocket } from "./open-socket.ts";
import type { ServedModel } from "./serve-model.ts";

/** Requests of every kind that the dashboards tell of, round after round, with a little rest in between. */
export async function createLoad(
  t: ExecutionContext,
  served: ServedModel,
  tasks: readonly string[],
): Promise<() => Promise<void>> {
  const { url, client } = served;
  const socket = await openSocket(t, url);
  let round = 0;
  const chat = (content: string, options: { model?: string; headers?: Record<string, string> }) => {
    const { model = "tiny", headers = {} } = options;
    const messages = [{ role: "user" as const, content }];
    return client.chat.completions.create({ model, messages, max_tokens: 8 }, { headers });
  };
  const post = async (path: string, body: object) => {
    const response = await fetch(`${url}${path}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    return response.text();
  };
  const conversation = async () => {
    const first = { role: "user" as const, content: `Remember number ${round}.` };
    const options = { model: "tiny", max_tokens: 6 };
    const { choices } = await client.chat.completions.create({ ...options, messages: [first] });
    const answer = { role: "assistant" as const, content: choices[0]!.message.content };
    const second = { role: "user" as const, content: "Which one was it?" };
    await client.chat.completions.create({ ...options, messages: [first, answer, second] });
  };
  const streamed = async (model: string) => {
    const messages = [{ role: "user" as const, content: "Tell me a story." }];
    const stream = await client.chat.completions.create({
      ...{ model, messages, max_tokens: 16, stream: true as const },
    });
    for await (const chunk of stream) if (chunk.choices.length === 0) continue;
  };
  const overSocket = async () => {
    const id = `round-${round}`;
    socket.send({ type: "chat", id, body: { ...hello, max_tokens: 8 } });
    await socket.untilEnd(id);
  };
  return async () => {
    round++;
    const task = tasks[round % tasks.length]!;
    await Promise.all([
      ...tasks.map((each) => streamed(`tiny:${each}`)),
      chat("How do I sort a list?", {}),
      chat("Please translate this.", {}),
      chat("Name it.", { headers: { "x-seap-task": task } }),
      conversation(),
      overSocket(),
      post("/v1/chat/completions", {
        ...hello,
        max_tokens: 8,
        response_format: { type: "json_object" },
      }),
      post("/v1/completions", { prompt: "Once upon a time", max_tokens: 8 }),
      post("/v1/responses", { input: "Hi", max_output_tokens: 8 }),
      post("/v1/chat/completions", { messages: [], temperature: "hot" }),
    ]);
    // Says the same again and again, so that it is guessed where it is alone.
    await post("/v1/completions", { prompt: "A", max_tokens: 24, logit_bias: { 97: 100 } });
    const command = round % 6 === 3 ? "evict" : "load";
    await fetch(`${url}/v1/experts/${task}/${command}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
    });
  };
}

const hello = { messages: [{ role: "user", content: "Hello there" }] };
