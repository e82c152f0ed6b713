import assert from "node:assert/strict";
import { TextDecoder } from "node:util";
import { codexFirst, codexForeignItems, codexLater } from "./bodies/codex.mjs";
import { continueAgent, continueAutocomplete, continueChat } from "./bodies/continue.mjs";
import { apiKey, baseURL, check } from "./checks.mjs";

// Agents whose requests nobody can edit: none is refused.

async function post(path, body, signal) {
  const response = await fetch(`${baseURL}${path}`, {
    method: "POST",
    headers: { authorization: `Bearer ${apiKey}`, "content-type": "application/json" },
    body: JSON.stringify(body),
    signal,
  });
  if (!response.ok) throw new Error(`${response.status} ${await response.text()}`);
  return response;
}

/** The data of a stream's events. */
async function* eventsOf(response) {
  let rest = "";
  const decoder = new TextDecoder();
  for await (const piece of response.body) {
    const events = (rest + decoder.decode(piece, { stream: true })).split("\n\n");
    rest = events.pop();
    for (const event of events) {
      const data = event.split("\n").find((line) => line.startsWith("data: "));
      if (data !== undefined && data !== "data: [DONE]") yield JSON.parse(data.slice(6));
    }
  }
  assert.equal(rest, "");
}

async function allEvents(path, body) {
  const events = [];
  for await (const event of eventsOf(await post(path, body))) events.push(event);
  return events;
}

function assertResponse(events) {
  assert.deepEqual(
    events.map((event) => event.sequence_number),
    events.map((_, index) => index),
  );
  const [first, last] = [events[0], events.at(-1)];
  assert.equal(first.type, "response.created");
  assert.ok(["response.completed", "response.incomplete"].includes(last.type), last.type);
  assert.equal(last.response.store, false);
  const done = events.filter(({ type }) => type === "response.output_item.done");
  assert.deepEqual(
    last.response.output,
    done.map(({ item }) => item),
  );
  return last.response;
}

const limit = { max_output_tokens: 60, seed: 1 };

await check("Codex: the first request, with hosted tools among its own", async () => {
  assertResponse(await allEvents("/responses", { ...codexFirst, ...limit }));
});

await check("Codex: a later request, with thoughts, calls and their results", async () => {
  const first = assertResponse(await allEvents("/responses", { ...codexFirst, ...limit }));
  const later = assertResponse(await allEvents("/responses", { ...codexLater, ...limit }));
  assert.ok(later.usage.input_tokens > first.usage.input_tokens);
});

await check("Codex: what it called itself goes back", async () => {
  const tool_choice = { type: "function", name: "list_mcp_resources" };
  const events = await allEvents("/responses", { ...codexFirst, ...limit, tool_choice });
  const { output } = assertResponse(events);
  const call = output.find(({ type }) => type === "function_call");
  assert.deepEqual(JSON.parse(call.arguments), {});
  const result = { type: "function_call_output", call_id: call.call_id, output: "none" };
  const input = [...codexFirst.input, ...output, result];
  assertResponse(await allEvents("/responses", { ...codexFirst, ...limit, input }));
});

await check("Codex: items of tools that only other models have", async () => {
  const input = [...codexLater.input, ...codexForeignItems];
  assertResponse(await allEvents("/responses", { ...codexLater, ...limit, input }));
});

await check("Codex: a stream that it ends", async () => {
  const controller = new AbortController();
  const response = await post("/responses", codexFirst, controller.signal);
  let numEvents = 0;
  const read = async () => {
    for await (const { sequence_number: number } of eventsOf(response)) {
      assert.equal(number, numEvents++);
      if (numEvents === 10) controller.abort();
    }
  };
  await assert.rejects(read(), { name: "AbortError" });
});

for (const [name, path, body] of [
  ["chat", "/chat/completions", continueChat],
  ["an agent with tools", "/chat/completions", continueAgent],
  ["autocomplete", "/completions", continueAutocomplete],
]) {
  await check(`Continue: ${name}`, async () => {
    const chunks = await allEvents(path, { ...body, seed: 1 });
    const ended = chunks.filter(({ choices }) => choices[0]?.finish_reason);
    assert.equal(ended.length, 1);
    if (body.stream_options) {
      const { choices, usage } = chunks.at(-1);
      assert.deepEqual(choices, []);
      assert.ok(usage.completion_tokens <= body.max_tokens);
    }
  });
}

await check("Continue: the tools of others, each as the one to call", async () => {
  for (const { function: tool } of continueAgent.tools) {
    const tool_choice = { type: "function", function: { name: tool.name } };
    const whole = { stream: false, stream_options: undefined, max_tokens: 400 };
    const body = { ...continueAgent, ...whole, tool_choice };
    const response = await post("/chat/completions", { ...body, seed: 2 });
    const [{ message, finish_reason: reason }] = (await response.json()).choices;
    assert.equal(message.tool_calls[0].function.name, tool.name);
    if (reason === "tool_calls") JSON.parse(message.tool_calls[0].function.arguments);
  }
});
