import test from "ava";
import type OpenAI from "openai";
import { serveModel } from "../helpers/serve-model.ts";
import { namedModelPath, testsAllModels } from "../helpers/named-model.ts";

const name = "qwen2.5-coder-1.5b";

const tools: OpenAI.Chat.ChatCompletionTool[] = [
  {
    type: "function",
    function: {
      name: "get_weather",
      description: "Current weather of a city, in Celsius.",
      parameters: {
        type: "object",
        properties: { city: { type: "string" } },
        required: ["city"],
      },
    },
  },
  {
    type: "function",
    function: {
      name: "convert_temperature",
      description: "Converts a temperature from Celsius to Fahrenheit.",
      parameters: {
        type: "object",
        properties: { celsius: { type: "number" } },
        required: ["celsius"],
      },
    },
  },
  {
    type: "function",
    function: {
      name: "save_note",
      description: "Saves a note for the user.",
      parameters: {
        type: "object",
        properties: { text: { type: "string" } },
        required: ["text"],
      },
    },
  },
];

test.serial(
  "an agent that has three tools uses them one after the other and finishes",
  async (t) => {
    t.timeout(900_000);
    if (!testsAllModels) {
      t.log(`skipped: takes minutes; npm run test:models runs it`);
      return t.pass();
    }
    t.not(await namedModelPath(t, name), null);
    const served = await serveModel([
      ...["--model", name, "--threads", "2", "--context-length", "4096"],
      ...["--experts", "off", "--router", "off"],
    ]);
    t.teardown(() => served.stop());
    const calls: { readonly name: string; readonly args: Record<string, unknown> }[] = [];
    const results: Readonly<Record<string, (args: Record<string, unknown>) => unknown>> = {
      get_weather: () => ({ celsius: 21, sky: "clear" }),
      convert_temperature: ({ celsius }) => ({ fahrenheit: (Number(celsius) * 9) / 5 + 32 }),
      save_note: () => ({ saved: true }),
    };
    const messages: OpenAI.Chat.ChatCompletionMessageParam[] = [
      {
        role: "system",
        content:
          "You are a helpful assistant. Use the tools one at a time. When all is done, answer the user in a sentence.",
      },
      {
        role: "user",
        content:
          "Get the weather in Lisbon, convert the temperature to Fahrenheit, and save a note with the " +
          "temperature in Fahrenheit. When the note is saved, tell me the temperature.",
      },
    ];
    let answer: string | null = null;
    for (let turn = 0; turn < 8 && answer === null; turn++) {
      const { choices } = await served.client.chat.completions.create({
        ...{
          model: name,
          messages,
          tools,
          tool_choice: "auto",
          temperature: 0,
          max_tokens: 200,
          parallel_tool_calls: false,
        },
      });
      const { message, finish_reason: reason } = choices[0]!;
      messages.push(message);
      if (reason !== "tool_calls") {
        answer = message.content;
        t.is(reason, "stop");
        break;
      }
      for (const call of message.tool_calls ?? []) {
        if (call.type !== "function") continue;
        const args = JSON.parse(call.function.arguments) as Record<string, unknown>;
        calls.push({ name: call.function.name, args });
        const content = JSON.stringify(results[call.function.name]!(args));
        messages.push({ role: "tool", tool_call_id: call.id, content });
      }
    }
    t.log(JSON.stringify(calls));
    t.log(answer);
    t.deepEqual([...new Set(calls.map((call) => call.name))], Object.keys(results));
    t.regex(String(calls[0]?.args["city"]), /Lisbon/);
    t.is(calls[1]?.args["celsius"], 21);
    t.regex(String(calls[2]?.args["text"]), /69\.8/);
    t.regex(answer ?? "", /69\.8/);
  },
);
