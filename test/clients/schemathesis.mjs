import { apiKey, baseURL, check } from "./checks.mjs";
import { runPython } from "./programs.mjs";

const maxSeconds = 45;

await check("requests made from the OpenAPI document: no 5xx, and answers as it says", async () => {
  const url = `${baseURL.replace(/\/v1$/, "")}/openapi.json`;
  const output = await runPython("schemathesis", [
    "--no-color",
    "run",
    url,
    `--header=Authorization: Bearer ${apiKey}`,
    `--max-time=${maxSeconds}`,
    "--request-timeout=60",
    "--seed=1",
    "--workers=1",
    "--phases=examples,coverage,fuzzing",
    // A schema cannot say that a tool must be among the tools, or a token id in the vocabulary.
    "--exclude-checks=positive_data_acceptance",
  ]);
  console.log(output.slice(output.indexOf("Test cases:")).split("\n").slice(0, 2).join("\n"));
});
