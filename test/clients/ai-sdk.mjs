import assert from "node:assert/strict";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import {
  APICallError,
  embedMany,
  generateObject,
  generateText,
  Output,
  stepCountIs,
  streamObject,
  streamText,
  tool,
} from "ai";
import { z } from "zod";
import { apiKey, baseURL, check, model as name } from "./checks.mjs";

let numRequests = 0;
const provider = createOpenAICompatible({
  name: "seap",
  baseURL,
  apiKey,
  includeUsage: true,
  supportsStructuredOutputs: true,
  fetch: (...args) => {
    numRequests++;
    return fetch(...args);
  },
});
const model = provider(name);
const prompt = "Tell me something.";
const sampled = { model, prompt, maxOutputTokens: 40, temperature: 1, seed: 5 };
const constrained = { model, prompt, maxOutputTokens: 400, seed: 1 };

const weather = z.object({ unit: z.enum(["c", "f"]), days: z.int().min(1).max(7) });
const getWeather = tool({
  description: "Tells the weather.",
  inputSchema: weather,
  execute: ({ unit, days }) => `${days} days in ${unit}`,
});

await check("generateText: text, usage, finish reason", async () => {
  const { text, usage, finishReason } = await generateText(sampled);
  assert.ok(text.length > 0);
  assert.equal(finishReason, "length");
  assert.equal(usage.outputTokens, 40);
  assert.ok(usage.inputTokens > 0);
});

await check("generateText: system, messages, stop sequences", async () => {
  const whole = await generateText(sampled);
  const stop = whole.text.slice(3, 5);
  const { text, finishReason } = await generateText({ ...sampled, stopSequences: [stop] });
  assert.equal(text, whole.text.slice(0, whole.text.indexOf(stop)));
  assert.equal(finishReason, "stop");
  const { usage } = await generateText({
    model,
    system: "Be brief.",
    messages: [
      { role: "user", content: [{ type: "text", text: "Hi" }] },
      { role: "assistant", content: "Hello" },
      { role: "user", content: "Go on." },
    ],
    maxOutputTokens: 4,
    seed: 5,
  });
  assert.equal(usage.outputTokens, 4);
});

await check("streamText: the text and usage of generateText", async () => {
  const whole = await generateText(sampled);
  const streamed = streamText(sampled);
  const pieces = [];
  for await (const piece of streamed.textStream) pieces.push(piece);
  assert.ok(pieces.length > 1);
  assert.equal(pieces.join(""), whole.text);
  assert.equal(await streamed.finishReason, "length");
  const { inputTokens, outputTokens } = await streamed.usage;
  assert.deepEqual(
    [inputTokens, outputTokens],
    [whole.usage.inputTokens, whole.usage.outputTokens],
  );
});

await check("generateText: a required tool is called, and its result goes back", async () => {
  const { steps } = await generateText({
    ...constrained,
    tools: { getWeather },
    prepareStep: ({ stepNumber }) => ({ toolChoice: stepNumber === 0 ? "required" : "none" }),
    stopWhen: stepCountIs(2),
    maxOutputTokens: 100,
  });
  assert.equal(steps.length, 2);
  const [{ toolCalls, toolResults, finishReason }, last] = steps;
  assert.equal(finishReason, "tool-calls");
  assert.ok(toolCalls.length > 0);
  for (const { toolName, input } of toolCalls) {
    assert.equal(toolName, "getWeather");
    weather.parse(input);
  }
  assert.match(toolResults[0].output, /^\d days in [cf]$/);
  const plain = await generateText(sampled);
  assert.ok(last.usage.inputTokens > plain.usage.inputTokens);
  assert.deepEqual(last.toolCalls, []);
});

await check("streamText: a named tool is called", async () => {
  const streamed = streamText({
    ...constrained,
    tools: { getWeather: tool({ description: "Tells the weather.", inputSchema: weather }) },
    toolChoice: { type: "tool", toolName: "getWeather" },
  });
  await streamed.consumeStream();
  const calls = await streamed.toolCalls;
  assert.equal(calls.length, 1);
  assert.equal(calls[0].toolName, "getWeather");
  weather.parse(calls[0].input);
  assert.equal(await streamed.finishReason, "tool-calls");
});

await check("generateObject: valid for its schema", async () => {
  const { object, finishReason } = await generateObject({ ...constrained, schema: weather });
  weather.parse(object);
  assert.equal(finishReason, "stop");
});

await check("generateObject: a choice", async () => {
  const { object } = await generateObject({
    ...constrained,
    output: "enum",
    enum: ["sunny", "rainy"],
  });
  assert.ok(["sunny", "rainy"].includes(object));
});

await check("streamObject and generateText's output: the object of generateObject", async () => {
  const { object } = await generateObject({ ...constrained, schema: weather });
  const streamed = streamObject({ ...constrained, schema: weather });
  for await (const part of streamed.partialObjectStream) assert.equal(typeof part, "object");
  assert.deepEqual(await streamed.object, object);
  const output = Output.object({ schema: weather });
  assert.deepEqual((await generateText({ ...constrained, output })).output, object);
});

await check("completions: text", async () => {
  const { text, usage } = await generateText({
    ...sampled,
    model: provider.completionModel(name),
  });
  assert.ok(text.length > 0);
  assert.equal(usage.outputTokens, 40);
});

await check("embedMany: vectors of length 1", async () => {
  const { embeddings, usage } = await embedMany({
    model: provider.embeddingModel(name),
    values: ["One", "Two"],
  });
  assert.equal(embeddings.length, 2);
  for (const vector of embeddings) assert.ok(Math.abs(Math.hypot(...vector) - 1) < 1e-4);
  assert.ok(usage.tokens > 0);
});

await check("a 400 is an APICallError with our message, and not tried again", async () => {
  numRequests = 0;
  await assert.rejects(generateText({ ...sampled, temperature: -1 }), (error) => {
    assert.ok(APICallError.isInstance(error));
    assert.equal(error.statusCode, 400);
    assert.equal(error.isRetryable, false);
    assert.match(error.message, /temperature/);
    return true;
  });
  assert.equal(numRequests, 1);
});

await check("an error before the first token reaches onError of streamText", async () => {
  const errors = [];
  const streamed = streamText({
    ...sampled,
    model: provider("nothing"),
    onError: ({ error }) => errors.push(error),
  });
  await streamed.consumeStream();
  assert.equal(errors[0].statusCode, 404);
});

await check("aborting ends a stream, and the server takes the next request", async () => {
  const controller = new AbortController();
  const streamed = streamText({
    ...sampled,
    maxOutputTokens: 20_000,
    abortSignal: controller.signal,
    onError: () => undefined,
  });
  for await (const part of streamed.fullStream) {
    if (part.type === "text-delta") controller.abort();
  }
  assert.ok((await generateText({ ...sampled, maxRetries: 5 })).text.length > 0);
});
