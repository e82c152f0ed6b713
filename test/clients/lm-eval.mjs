import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { resolveModel } from "../../dist/model/source/source.js";
import { apiKey, baseURL, check } from "./checks.mjs";
import { ownScores } from "./own-scores.mjs";
import { runPython, runQuietly, temporary } from "./programs.mjs";

// The harness asks us for the same weights that `seap eval` has, and must measure the same.

const task = "openbookqa";
const maxRows = 32;
const format = "f32";
const dataDir = resolve("../shared/data");
const dataPath = join(dataDir, `${task}.eval.jsonl`);
const tolerance = 1e-3;

const prompts = ["The capital of France is", "One, two, three,", "Roses are red,"];
const maxTokens = 24;
const stop = ["\n"];

const choicesName = "seap_choices";
const textsName = "seap_texts";

const tasksDir = join(temporary, "tasks");
mkdirSync(tasksDir);

/** A task of the harness; a file of JSON is one of YAML too. */
function writeTask(name, rows, { metrics, ...fields }) {
  const rowsPath = join(tasksDir, `${name}.jsonl`);
  writeFileSync(rowsPath, rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
  const description = {
    task: name,
    dataset_path: "json",
    dataset_kwargs: { data_files: { test: rowsPath } },
    test_split: "test",
    metric_list: metrics.map((metric) => ({
      metric,
      aggregation: "mean",
      higher_is_better: true,
    })),
    ...fields,
  };
  writeFileSync(join(tasksDir, `${name}.yaml`), JSON.stringify(description));
}

async function ask(path, body) {
  const response = await fetch(`${baseURL}/${path}`, {
    method: body === undefined ? "GET" : "POST",
    headers: { authorization: `Bearer ${apiKey}`, "content-type": "application/json" },
    body: body && JSON.stringify(body),
  });
  assert.equal(response.status, 200);
  return response.json();
}

const model = (await ask("models")).data[0].id;

function writeChoices() {
  const lines = readFileSync(dataPath, "utf8").trim().split("\n").slice(0, maxRows);
  const rows = lines.map((line) => JSON.parse(line));
  writeTask(choicesName, rows, {
    output_type: "multiple_choice",
    doc_to_text: "question_stem",
    doc_to_target: "answer",
    doc_to_choice: "choices",
    metrics: ["acc", "acc_norm"],
  });
}

/** What is right is what the server says itself. */
async function writeTexts() {
  const rows = [];
  for (const prompt of prompts) {
    const body = { model, prompt, max_tokens: maxTokens, stop, temperature: 0 };
    const { choices } = await ask("completions", body);
    rows.push({ prompt, written: choices[0].text });
  }
  writeTask(textsName, rows, {
    output_type: "generate_until",
    doc_to_text: "prompt",
    doc_to_target: "written",
    generation_kwargs: { until: stop, max_gen_toks: maxTokens, temperature: 0 },
    metrics: ["exact_match"],
  });
}

/** Runs `lm_eval`; results by task, and what it says of a task's rows. */
async function runHarness(names) {
  const outDir = join(temporary, "harness");
  const modelArgs = {
    model,
    base_url: `${baseURL}/completions`,
    tokenizer_backend: "remote",
    auth_token: apiKey,
    num_concurrent: 2,
  };
  const options = {
    model: "local-completions",
    model_args: Object.entries(modelArgs).map((pair) => pair.join("=")),
    tasks: names,
    include_path: tasksDir,
    batch_size: 4,
    output_path: outDir,
  };
  const args = Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)]);
  await runPython("lm_eval", [...args, "--log_samples"], { OPENAI_API_KEY: apiKey });
  const files = readdirSync(outDir, { recursive: true });
  const read = (start) =>
    readFileSync(
      join(
        outDir,
        files.find((file) => file.includes(start)),
      ),
      "utf8",
    );
  const samplesOf = (name) => {
    const lines = read(`samples_${name}`).trim().split("\n");
    return lines.map((line) => JSON.parse(line)).sort((a, b) => a.doc_id - b.doc_id);
  };
  return { results: JSON.parse(read("results_")).results, samplesOf };
}

const hasData = existsSync(dataPath);
if (hasData) writeChoices();
else console.log(`SKIP loglikelihood: there is no ${dataPath}`);
await writeTexts();
const { results, samplesOf } = await runHarness([...(hasData ? [choicesName] : []), textsName]);

if (hasData) {
  const { path } = await resolveModel("default");

  await check("loglikelihood: each choice has the log-likelihood that we compute", async () => {
    const own = await ownScores({ path, task, dataDir, maxRows, format });
    const samples = samplesOf(choicesName);
    assert.equal(samples.length, maxRows);
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
      model: path,
      data: dataDir,
      out: join(temporary, "eval"),
      // What was measured before is in the user's.
      "cache-dir": join(temporary, "cache"),
    };
    const args = Object.entries(flags).flatMap(([flag, value]) => [`--${flag}`, String(value)]);
    const report = await runQuietly(process.execPath, ["bin/seap.js", "eval", "--json", ...args]);
    const [own] = JSON.parse(report).methods[0].tasks;
    assert.equal(own.numRows, maxRows);
    assert.ok(Math.abs(own.acc.value - results[choicesName]["acc,none"]) < tolerance);
    assert.ok(Math.abs(own.accNorm.value - results[choicesName]["acc_norm,none"]) < tolerance);
  });
}

await check("generate_until: the texts that the server writes for the same prompts", () => {
  const samples = samplesOf(textsName);
  assert.equal(samples.length, prompts.length);
  for (const { doc, resps } of samples) {
    assert.ok(doc.written.length > 0);
    assert.equal(resps[0][0], doc.written);
  }
  assert.equal(results[textsName]["exact_match,none"], 1);
});
