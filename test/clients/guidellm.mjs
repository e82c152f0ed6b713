import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { apiKey, baseURL, check, model } from "./checks.mjs";
import { runPython, temporary } from "./programs.mjs";

const numRequests = 60;
const outputTokens = 16;
const numConcurrent = Number(process.env.SEAP_TEST_CONCURRENT);

const dataPath = join(temporary, "prompts.jsonl");
const reportPath = join(temporary, "guidellm.json");
const rows = Array.from({ length: numRequests }, (_, i) => ({
  prompt: `Tell me about number ${i}.`,
  output_tokens_count: outputTokens,
}));
writeFileSync(dataPath, rows.map((row) => `${JSON.stringify(row)}\n`).join(""));

await check("a load of streams: none fails, and each is as long as ignore_eos says", async () => {
  const options = {
    target: baseURL.replace(/\/v1$/, ""),
    model,
    data: dataPath,
    "rate-type": "concurrent",
    rate: numConcurrent,
    "max-requests": numRequests,
    "output-path": reportPath,
  };
  const args = Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)]);
  await runPython("guidellm", ["benchmark", "run", ...args, "--disable-progress"], {
    GUIDELLM__OPENAI__API_KEY: apiKey,
  });
  const [{ request_totals: totals, requests }] = JSON.parse(
    readFileSync(reportPath, "utf8"),
  ).benchmarks;
  assert.deepEqual(totals, {
    successful: numRequests,
    incomplete: 0,
    errored: 0,
    total: numRequests,
  });
  for (const { output_tokens: tokens, output } of requests.successful) {
    assert.equal(tokens, outputTokens);
    assert.ok(output.length > 0);
  }
});
