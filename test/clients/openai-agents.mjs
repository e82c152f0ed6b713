import assert from "node:assert/strict";
import {
  Agent,
  OpenAIChatCompletionsModel,
  OpenAIResponsesModel,
  Runner,
  setTracingDisabled,
  tool,
  webSearchTool,
} from "@openai/agents";
import OpenAI from "openai";
import { z } from "zod";
import { apiKey, baseURL, check, endToken, model } from "./checks.mjs";

setTracingDisabled(true);
const client = new OpenAI({ baseURL, apiKey, maxRetries: 5 });
// Noise seldom ends by itself.
const providerData = { seed: 1, logit_bias: { [await endToken()]: 4 } };
const settings = (wanted = {}) => ({ maxTokens: 400, providerData, ...wanted });
const runner = new Runner();
const instructions = "Be brief.";
const prompt = "Tell me something.";

let called = [];
const weather = z.object({ unit: z.enum(["c", "f"]), days: z.literal([1, 2, 3]) });
const getWeather = tool({
  name: "get_weather",
  description: "Tells the weather.",
  parameters: weather,
  execute: (input) => {
    called.push("get_weather");
    return `${weather.parse(input).days} days`;
  },
});
const now = tool({
  name: "now",
  description: "Tells the time.",
  parameters: z.object({}),
  execute: () => {
    called.push("now");
    return "noon";
  },
});
const verdict = z.object({ mood: z.enum(["good", "bad"]), score: z.int().min(0).max(9) });

async function run(agent, options = {}) {
  called = [];
  return runner.run(agent, prompt, { maxTurns: 4, ...options });
}

const kinds = {
  chat: new OpenAIChatCompletionsModel(client, model),
  responses: new OpenAIResponsesModel(client, model),
};
for (const [kind, agentModel] of Object.entries(kinds)) {
  const agentOf = (name, options) =>
    new Agent({ name, instructions, model: agentModel, ...options });
  const tools = [getWeather, now];

  await check(`${kind}: an agent answers, and its conversation goes on`, async () => {
    const agent = agentOf("Plain", { modelSettings: settings() });
    const first = await run(agent);
    assert.equal(typeof first.finalOutput, "string");
    const history = [...first.history, { role: "user", content: "Go on." }];
    const second = await runner.run(agent, history);
    const [before, after] = [first, second].map(({ rawResponses }) => rawResponses[0].usage);
    assert.ok(after.inputTokens > before.inputTokens);
  });

  for (const toolChoice of ["get_weather", "now"]) {
    await check(
      `${kind}: of two tools ${toolChoice} is named, called, and its result read`,
      async () => {
        const modelSettings = settings({ toolChoice, parallelToolCalls: false });
        const result = await run(agentOf("Caller", { tools, modelSettings }));
        assert.deepEqual(called, [toolChoice]);
        assert.equal(result.rawResponses.length, 2);
        assert.equal(typeof result.finalOutput, "string");
      },
    );
  }

  await check(`${kind}: a required call, of either tool, in a stream`, async () => {
    const modelSettings = settings({ toolChoice: "required" });
    const result = await run(agentOf("Caller", { tools, modelSettings }), { stream: true });
    const types = new Set();
    for await (const event of result) types.add(event.type);
    assert.ok(types.has("raw_model_stream_event") && types.has("run_item_stream_event"));
    await result.completed;
    assert.ok(called.length > 0);
  });

  await check(`${kind}: a hand-off to an agent that has tools itself`, async () => {
    const expert = agentOf("Weather expert", {
      handoffDescription: "Knows the weather.",
      tools: [getWeather],
      modelSettings: settings({ toolChoice: "required" }),
    });
    const triage = Agent.create({
      name: "Triage",
      instructions,
      model: agentModel,
      tools: [now],
      handoffs: [expert],
      modelSettings: settings({ toolChoice: "transfer_to_Weather_expert" }),
    });
    const result = await run(triage);
    assert.ok(called.includes("get_weather"));
    assert.equal(result.lastAgent, expert);
  });

  for (const [where, options] of Object.entries({ alone: {}, "beside tools": { tools } })) {
    await check(`${kind}: an answer of a class, ${where}`, async () => {
      const agent = agentOf("Judge", {
        outputType: verdict,
        modelSettings: settings(),
        ...options,
      });
      const { finalOutput } = await run(agent);
      verdict.parse(finalOutput);
    });
  }
}

await check(
  "responses: a hosted tool beside one's own, reasoning, and what else it can be told",
  async () => {
    const agent = new Agent({
      name: "Searcher",
      instructions,
      model: kinds.responses,
      tools: [webSearchTool(), getWeather],
      modelSettings: settings({
        reasoning: { effort: "low", summary: "auto" },
        text: { verbosity: "low" },
        store: false,
        truncation: "disabled",
      }),
    });
    const { finalOutput } = await run(agent);
    assert.equal(typeof finalOutput, "string");
  },
);
