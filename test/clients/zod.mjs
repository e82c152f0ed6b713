import assert from "node:assert/strict";
import OpenAI from "openai";
import { zodFunction, zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";
import { apiKey, baseURL, check, model } from "./checks.mjs";
import { actions } from "./models/zod-actions.mjs";
import { records } from "./models/zod-records.mjs";

const models = { ...records, ...actions };
const client = new OpenAI({ baseURL, apiKey, maxRetries: 5 });
const messages = [{ role: "user", content: "Tell me something." }];
const isQuick = process.env.SEAP_TEST_QUICK !== undefined;
const maxTokens = isQuick ? 120 : 200;
const numConcurrent = Number(process.env.SEAP_TEST_CONCURRENT);
/** Share of the answers that end; the others are cut off. */
const leastEnded = 0.6;

const parameters = (schema) => z.toJSONSchema(schema);
const forms = {
  "strict tools (zodFunction)": (name, schema) => {
    const tool = zodFunction({ name, parameters: schema });
    return { tools: [tool], tool_choice: { type: "function", function: { name } } };
  },
  "strict forms (zodResponseFormat)": (name, schema) => ({
    response_format: zodResponseFormat(schema, name),
  }),
  "tools (z.toJSONSchema)": (name, schema) => ({
    tools: [{ type: "function", function: { name, parameters: parameters(schema) } }],
    tool_choice: { type: "function", function: { name } },
  }),
  "forms (z.toJSONSchema)": (name, schema) => ({
    response_format: { type: "json_schema", json_schema: { name, schema: parameters(schema) } },
  }),
};

/** @returns how the model's answer ended, or what is wrong with it. */
async function judge(name, schema, form, seed) {
  let params;
  try {
    params = form(name, schema);
  } catch {
    // OpenAI's strict subset knows no tuples, records or optional fields, and its helpers say so.
    return "unsent";
  }
  try {
    const limits = { seed, max_tokens: maxTokens };
    const answer = await client.chat.completions.create({ model, messages, ...limits, ...params });
    const [{ message, finish_reason: reason }] = answer.choices;
    if (reason === "length") return "cut";
    const text = message.tool_calls?.[0].function.arguments ?? message.content;
    const { success, error } = schema.safeParse(JSON.parse(text));
    return success ? "valid" : `${name}: ${text} is not valid: ${z.prettifyError(error)}`;
  } catch (error) {
    return `${name}: ${error.message}`;
  }
}

const entries = Object.entries(models);
for (const [title, form] of Object.entries(forms)) {
  if (isQuick && !title.startsWith("tools")) continue;
  await check(`${entries.length} models as ${title}: all accepted, answers valid`, async () => {
    const queue = [...entries.entries()];
    const verdicts = [];
    const work = async () => {
      for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
        const [seed, [name, schema]] = next;
        verdicts.push(await judge(name, schema, form, seed));
      }
    };
    await Promise.all(Array.from({ length: numConcurrent }, work));
    const count = (verdict) => verdicts.filter((other) => other === verdict).length;
    const [valid, cut, unsent] = ["valid", "cut", "unsent"].map(count);
    const wrong = verdicts.filter((verdict) => !["valid", "cut", "unsent"].includes(verdict));
    console.log(`${valid} valid, ${cut} cut off, ${unsent} not sent by the helper`);
    assert.deepEqual(wrong, []);
    assert.ok(valid >= leastEnded * (valid + cut), `${valid} of ${valid + cut} ended`);
  });
}
