import assert from "node:assert/strict";
import { HumanMessage, ToolMessage } from "@langchain/core/messages";
import { tool } from "@langchain/core/tools";
import { MemorySaver, MessagesAnnotation, StateGraph } from "@langchain/langgraph";
import { createReactAgent, ToolNode, toolsCondition } from "@langchain/langgraph/prebuilt";
import { ChatOpenAI } from "@langchain/openai";
import { z } from "zod";
import { apiKey, baseURL, check, endToken, model } from "./checks.mjs";

// Noise seldom ends by itself.
const modelKwargs = { seed: 1, logit_bias: { [await endToken()]: 3 } };
const settings = { model, apiKey, configuration: { baseURL }, maxRetries: 0, maxTokens: 400 };
const chat = new ChatOpenAI({ ...settings, modelKwargs });
const messages = [new HumanMessage("Tell me something.")];

let called = [];
const weather = z.object({ unit: z.enum(["c", "f"]), days: z.literal([1, 2, 3]) });
const getWeather = tool(
  (input) => {
    called.push("get_weather");
    return `${weather.parse(input).days} days`;
  },
  { name: "get_weather", description: "Tells the weather.", schema: weather },
);
const now = tool(
  () => {
    called.push("now");
    return "noon";
  },
  { name: "now", description: "Tells the time.", schema: z.object({}) },
);
const tools = [getWeather, now];

/** A graph that calls tools first, as it must, and then answers as it likes. */
function graphOf(chatModel, first, checkpointer) {
  return new StateGraph(MessagesAnnotation)
    .addNode("model", async (state) => {
      const wasCalled = state.messages.some((message) => message instanceof ToolMessage);
      const bound = chatModel.bindTools(tools, { tool_choice: wasCalled ? "none" : first });
      return { messages: [await bound.invoke(state.messages)] };
    })
    .addNode("tools", new ToolNode(tools))
    .addEdge("__start__", "model")
    .addConditionalEdges("model", toolsCondition)
    .addEdge("tools", "model")
    .compile({ checkpointer });
}

const responses = new ChatOpenAI({ ...settings, modelKwargs, useResponsesApi: true });
for (const [kind, chatModel, first] of [
  ["chat", chat, "required"],
  // LangChain sends no "required" here.
  ["responses", responses, "get_weather"],
]) {
  await check(`${kind}: a graph calls tools, and their results go back`, async () => {
    called = [];
    const { messages: all } = await graphOf(chatModel, first).invoke({ messages });
    assert.ok(called.length > 0);
    assert.equal(all.filter((message) => message instanceof ToolMessage).length, called.length);
    assert.equal(all.at(-1).getType(), "ai");
    assert.deepEqual(all.at(-1).tool_calls, []);
  });

  await check(`${kind}: a graph's steps and tokens are streamed`, async () => {
    called = [];
    const modes = new Set();
    const stream = await graphOf(chatModel, first).stream(
      { messages },
      { streamMode: ["updates", "messages"] },
    );
    for await (const [mode] of stream) modes.add(mode);
    assert.deepEqual([...modes].sort(), ["messages", "updates"]);
    assert.ok(called.length > 0);
  });
}

await check("a conversation is kept, and goes on", async () => {
  const graph = graphOf(chat, "required", new MemorySaver());
  const thread = { configurable: { thread_id: "one" } };
  const first = await graph.invoke({ messages }, thread);
  const second = await graph.invoke({ messages: [new HumanMessage("Go on.")] }, thread);
  assert.ok(second.messages.length > first.messages.length);
});

await check("a ready-made agent with tools, which it may call or not", async () => {
  called = [];
  const agent = createReactAgent({ llm: chat, tools, prompt: "Be brief." });
  const { messages: all } = await agent.invoke({ messages });
  assert.equal(all.filter((message) => message instanceof ToolMessage).length, called.length);
  assert.equal(all.at(-1).getType(), "ai");
});

await check("a ready-made agent whose answer has a form", async () => {
  const verdict = z.object({ mood: z.enum(["good", "bad"]) });
  const agent = createReactAgent({ llm: chat, tools, responseFormat: verdict });
  const { structuredResponse } = await agent.invoke({ messages });
  verdict.parse(structuredResponse);
});
