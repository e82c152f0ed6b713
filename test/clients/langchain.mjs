import assert from "node:assert/strict";
import { AIMessage, HumanMessage, SystemMessage, ToolMessage } from "@langchain/core/messages";
import { StringOutputParser } from "@langchain/core/output_parsers";
import { ChatPromptTemplate } from "@langchain/core/prompts";
import { tool } from "@langchain/core/tools";
import { ChatOpenAI, OpenAI, OpenAIEmbeddings } from "@langchain/openai";
import { z } from "zod";
import { apiKey, baseURL, check, model } from "./checks.mjs";

const settings = { model, apiKey, configuration: { baseURL }, maxRetries: 0 };
const sampled = { ...settings, temperature: 1, maxTokens: 40, modelKwargs: { seed: 5 } };
const chat = new ChatOpenAI(sampled);
const constrained = new ChatOpenAI({ ...settings, maxTokens: 400, modelKwargs: { seed: 1 } });
const messages = [new SystemMessage("Be brief."), new HumanMessage("Tell me something.")];

const weather = z.object({ unit: z.enum(["c", "f"]), days: z.int().min(1).max(7) });
const getWeather = tool(({ unit, days }) => `${days} days in ${unit}`, {
  name: "getWeather",
  description: "Tells the weather.",
  schema: weather,
});

await check("invoke: text, usage, finish reason", async () => {
  const { text, usage_metadata: usage, response_metadata: metadata } = await chat.invoke(messages);
  assert.ok(text.length > 0);
  assert.equal(usage.output_tokens, 40);
  assert.equal(usage.total_tokens, usage.input_tokens + 40);
  assert.equal(metadata.finish_reason, "length");
});

await check("stream: the text and usage of invoke", async () => {
  const whole = await chat.invoke(messages);
  const chunks = [];
  for await (const chunk of await chat.stream(messages)) chunks.push(chunk);
  assert.ok(chunks.length > 1);
  const joined = chunks.reduce((sum, chunk) => sum.concat(chunk));
  assert.equal(joined.text, whole.text);
  assert.equal(joined.usage_metadata.output_tokens, whole.usage_metadata.output_tokens);
  assert.equal(joined.usage_metadata.input_tokens, whole.usage_metadata.input_tokens);
});

await check("a chain of template, model and parser", async () => {
  const template = ChatPromptTemplate.fromMessages([
    ["system", "Be brief."],
    ["human", "Tell me about {topic}."],
  ]);
  const chain = template.pipe(chat).pipe(new StringOutputParser());
  assert.ok((await chain.invoke({ topic: "tea" })).length > 0);
});

await check("batch: as many answers as prompts, in their order", async () => {
  const prompts = ["One", "Two", "Three"];
  const answers = await chat.batch(prompts, { maxConcurrency: 2 });
  for (const [index, { text }] of answers.entries()) {
    assert.equal(text, (await chat.invoke(prompts[index])).text);
  }
});

for (const method of ["jsonSchema", "functionCalling"]) {
  await check(`withStructuredOutput by ${method}: valid for its schema`, async () => {
    const structured = constrained.withStructuredOutput(weather, { method, name: "weather" });
    weather.parse(await structured.invoke(messages));
  });
}

await check("withStructuredOutput: strict, with what the model wrote", async () => {
  const structured = constrained.withStructuredOutput(weather, {
    name: "weather",
    strict: true,
    includeRaw: true,
  });
  const { parsed, raw } = await structured.invoke(messages);
  assert.deepEqual(JSON.parse(raw.text), weather.parse(parsed));
});

await check("bindTools: a required tool is called, and its result goes back", async () => {
  const caller = constrained.bindTools([getWeather], { tool_choice: "required" });
  const answer = await caller.invoke(messages);
  assert.ok(answer.tool_calls.length > 0);
  assert.deepEqual(answer.invalid_tool_calls ?? [], []);
  const results = [];
  for (const call of answer.tool_calls) {
    assert.equal(call.name, "getWeather");
    weather.parse(call.args);
    const result = await getWeather.invoke(call);
    assert.ok(result instanceof ToolMessage);
    results.push(result);
  }
  const last = await chat
    .bindTools([getWeather], { tool_choice: "none" })
    .invoke([...messages, answer, ...results]);
  assert.ok(last instanceof AIMessage);
  const plain = await chat.invoke(messages);
  assert.ok(last.usage_metadata.input_tokens > plain.usage_metadata.input_tokens);
});

await check("bindTools: the streamed pieces of a named call join to it", async () => {
  const caller = constrained.bindTools([getWeather], { tool_choice: "getWeather" });
  let joined;
  for await (const chunk of await caller.stream(messages)) joined = joined?.concat(chunk) ?? chunk;
  assert.equal(joined.tool_calls.length, 1);
  assert.equal(joined.tool_calls[0].name, "getWeather");
  weather.parse(joined.tool_calls[0].args);
});

await check("the Responses API: the text of the chat, whole and streamed", async () => {
  const responses = new ChatOpenAI({ ...sampled, useResponsesApi: true });
  const { text, usage_metadata: usage } = await responses.invoke(messages);
  assert.equal(text, (await chat.invoke(messages)).text);
  assert.equal(usage.output_tokens, 40);
  let joined;
  for await (const chunk of await responses.stream(messages)) {
    joined = joined?.concat(chunk) ?? chunk;
  }
  assert.equal(joined.text, text);
});

await check("completions: text, whole and streamed", async () => {
  const llm = new OpenAI(sampled);
  const text = await llm.invoke("Tell me");
  assert.ok(text.length > 0);
  let joined = "";
  for await (const piece of await llm.stream("Tell me")) joined += piece;
  assert.equal(joined, text);
});

await check("embeddings: vectors of length 1", async () => {
  const embeddings = new OpenAIEmbeddings(settings);
  const vectors = await embeddings.embedDocuments(["One", "Two"]);
  assert.equal(vectors.length, 2);
  for (const vector of vectors) assert.ok(Math.abs(Math.hypot(...vector) - 1) < 1e-4);
  const again = await embeddings.embedQuery("One");
  for (const [index, value] of again.entries())
    assert.ok(Math.abs(value - vectors[0][index]) < 1e-4);
});

await check("a 400 carries our message and is not tried again", async () => {
  let numRequests = 0;
  const wrong = new ChatOpenAI({
    ...settings,
    temperature: -1,
    maxRetries: 2,
    configuration: {
      baseURL,
      fetch: (...args) => {
        numRequests++;
        return fetch(...args);
      },
    },
  });
  await assert.rejects(wrong.invoke("Hi"), { status: 400, message: /temperature/ });
  assert.equal(numRequests, 1);
});
