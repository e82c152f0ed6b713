import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { apiKey, baseURL, check } from "./checks.mjs";
import { ownScores } from "./own-scores.mjs";
import { runPython, runQuietly, temporary } from "./programs.mjs";

// The harness has the same weights from us as `seap eval`, and must measure the same.

const task = "openbookqa";
const maxRows = 32;
const format = "f32";
const dataDir = resolve("../shared/data");
const dataPath = join(dataDir, `${task}.eval.jsonl`);
const tolerance = 1e-3;

const tasksDir = join(temporary, "tasks");
mkdirSync(tasksDir);

/** A task of the harness; a file of JSON is one of YAML too. */
function writeTask(name, rows, fields) {
  const rowsPath = join(tasksDir, `${name}.jsonl`);
  writeFileSync(rowsPath, rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
  const dataset = {
    dataset_path: "json",
    dataset_kwargs: { data_files: { test: rowsPath } },
    test_split: "test",
  };
  writeFileSync(
    join(tasksDir, `${name}.yaml`),
    JSON.stringify({ task: name, ...dataset, ...fields }),
  );
}

const headers = { authorization: `Bearer ${apiKey}` };
const { data: models } = await (await fetch(`${baseURL}/models`, { headers })).json();
const model = models[0].id;

/** Runs `lm_eval`; its results, and what it says of each row. */
async function harness(name) {
  const outDir = join(temporary, `harness-${name}`);
  const modelArgs = {
    model,
    base_url: `${baseURL}/completions`,
    tokenizer_backend: "remote",
    auth_token: apiKey,
    num_concurrent: 2,
  };
  await runPython(
    "lm_eval",
    [
      ["--model", "local-completions"],
      [
        "--model_args",
        Object.entries(modelArgs)
          .map((pair) => pair.join("="))
          .join(","),
      ],
      ["--tasks", name, "--include_path", tasksDir],
      ["--batch_size", "4", "--output_path", outDir, "--log_samples"],
    ].flat(),
    { OPENAI_API_KEY: apiKey },
  );
  const files = readdirSync(outDir, { recursive: true });
  const read = (start) =>
    readFileSync(
      join(
        outDir,
        files.find((file) => file.includes(start)),
      ),
      "utf8",
    );
  const samples = read("samples_")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  samples.sort((a, b) => a.doc_id - b.doc_id);
  return { results: JSON.parse(read("results_")).results[name], samples };
}

async function checkLikelihoods() {
  const rows = readFileSync(dataPath, "utf8").trim().split("\n").slice(0, maxRows);
  const name = "seap_choices";
  writeTask(
    name,
    rows.map((row) => JSON.parse(row)),
    {
      output_type: "multiple_choice",
      doc_to_text: "question_stem",
      doc_to_target: "answer",
      doc_to_choice: "choices",
      metric_list: ["acc", "acc_norm"].map((metric) => ({
        metric,
        aggregation: "mean",
        higher_is_better: true,
      })),
    },
  );
  const { results, samples } = await harness(name);
  assert.equal(samples.length, maxRows);

  await check("loglikelihood: each choice has the log-likelihood that we compute", async () => {
    const own = await ownScores({ task, dataDir, maxRows, format });
    for (const { doc_id: row, filtered_resps: answers } of samples) {
      assert.equal(answers.length, own[row].length);
      for (const [choice, [logProb]] of answers.entries()) {
        const difference = Math.abs(Number(logProb) - own[row][choice]);
        assert.ok(difference < tolerance, `row ${row}, choice ${choice}: ${difference} apart`);
      }
    }
  });

  await check("loglikelihood: the accuracies are those of seap eval", async () => {
    const flags = {
      tasks: task,
      methods: "dense",
      rows: maxRows,
      weights: format,
      data: dataDir,
      out: join(temporary, "eval"),
    };
    const args = Object.entries(flags).flatMap(([flag, value]) => [`--${flag}`, String(value)]);
    const report = await runQuietly(process.execPath, ["bin/seap.js", "eval", "--json", ...args]);
    const [result] = JSON.parse(report).methods[0].tasks;
    assert.equal(result.numRows, maxRows);
    assert.ok(Math.abs(result.acc.value - results["acc,none"]) < tolerance);
    assert.ok(Math.abs(result.accNorm.value - results["acc_norm,none"]) < tolerance);
  });
}

if (existsSync(dataPath)) {
  await checkLikelihoods();
} else {
  console.log(`SKIP loglikelihood: there is no ${dataPath}`);
}

await check("generate_until: the texts that the server writes for the same prompts", async () => {
  const prompts = ["The capital of France is", "One, two, three,", "Roses are red,"];
  const limits = { max_tokens: 24, stop: ["\n"] };
  const rows = [];
  for (const prompt of prompts) {
    const response = await fetch(`${baseURL}/completions`, {
      method: "POST",
      headers: { ...headers, "content-type": "application/json" },
      body: JSON.stringify({ model, prompt, temperature: 0, ...limits }),
    });
    const { choices } = await response.json();
    assert.ok(choices[0].text.length > 0);
    rows.push({ prompt, written: choices[0].text });
  }
  const name = "seap_generate";
  writeTask(name, rows, {
    output_type: "generate_until",
    doc_to_text: "prompt",
    doc_to_target: "written",
    generation_kwargs: { until: limits.stop, max_gen_toks: limits.max_tokens, temperature: 0 },
    metric_list: [{ metric: "exact_match", aggregation: "mean", higher_is_better: true }],
  });
  const { results, samples } = await harness(name);
  assert.deepEqual(
    samples.map(({ resps }) => resps[0][0]),
    rows.map(({ written }) => written),
  );
  assert.equal(results["exact_match,none"], 1);
});
