import test from "ava";
import type { ExpertPlan } from "../../../model/experts/expert-plan.ts";
import type { Estimate } from "../../../prune/scoring/intervals.ts";
import { jaccard, keptChannelShares, layerSparsity } from "../../../bin/reports/plan-comparison.ts";
import {
  formatJson,
  formatMarkdown,
  formatOverview,
} from "../../../bin/reports/evaluation-tables.ts";
import { formatPage } from "../../../bin/reports/evaluation-page.ts";
import type { EvaluationResult, MethodResult } from "../../../prune/evaluation/result.ts";

const estimate = (value: number, half: number): Estimate => ({
  value,
  low: value - half,
  high: value + half,
});

function method(name: string, target: number | null, accuracy: number, loss: number): MethodResult {
  const middle = target ?? 0;
  const isDense = target === null;
  return {
    name,
    sparsityTarget: target,
    trueSparsity: { middle, blocks: 0.8 * middle, model: 0.6 * middle },
    sizeBytes: 90e6 * (1 - middle),
    buildSeconds: isDense ? null : 12.34,
    tasks: [
      {
        kind: "choice",
        task: "boolq",
        metric: "acc",
        numRows: 100,
        acc: estimate(accuracy, 0.05),
        accNorm: estimate(accuracy, 0.05),
        difference: isDense ? null : estimate(accuracy - 0.6, 0.02),
      },
      {
        kind: "text",
        task: "gsm8k",
        numRows: 100,
        numTokens: 9000,
        logPerplexity: estimate(loss, 0.1),
        perplexity: {
          value: Math.exp(loss),
          low: Math.exp(loss - 0.1),
          high: Math.exp(loss + 0.1),
        },
        kl: isDense ? null : estimate(0.3, 0.02),
        agreement: isDense ? null : estimate(0.75, 0.02),
        difference: isDense ? null : estimate(loss - 1, 0.03),
      },
      {
        kind: "generation",
        task: "gsm8k",
        numRows: 50,
        strict: estimate(0.1, 0.05),
        flexible: estimate(0.2, 0.05),
        difference: isDense ? null : estimate(-0.1, 0.05),
      },
    ],
  };
}

function plan(task: string, channels: number[]): ExpertPlan {
  const layer = { keptHeads: [0, 2], keptKvHeads: [0, 1], keptChannels: channels };
  return {
    schemaVersion: 1,
    modelHash: "hash",
    task,
    recipe: {},
    layers: [layer, { keptHeads: [], keptKvHeads: [], keptChannels: [] }],
    sparsity: { middle: 0.5, blocks: 0.4, model: 0.3 },
  };
}

const model = {
  name: "Tiny <&> model",
  hash: "hash",
  numLayers: 6,
  firstLayer: 2,
  hiddenSize: 8,
  numHeads: 4,
  numKvHeads: 2,
  headDim: 2,
  intermediateSize: 8,
};

const result: EvaluationResult = {
  schemaVersion: 1,
  model,
  maxRows: 100,
  methods: [
    method("dense", null, 0.6, 1),
    method("seap", 0.2, 0.55, 1.5),
    method("seap", 0.5, 0.5, 2),
    method("best", 0.2, 0.59, 1.1),
  ],
  plans: [
    { method: "seap", sparsityTarget: 0.5, plan: plan("code", [0, 1, 2, 3]) },
    { method: "seap", sparsityTarget: 0.5, plan: plan("math", [2, 3, 4, 5]) },
  ],
};

test("the Markdown page has a row per method with intervals and differences to dense", (t) => {
  const markdown = formatMarkdown(result);
  const rowsOf = (label: string): string[] =>
    markdown.split("\n").filter((line) => line.startsWith(`| ${label} |`));
  t.deepEqual(rowsOf("seap 20 %"), [
    "| seap 20 % | 55.0 [50.0, 60.0] | -5.0 [-7.0, -3.0] | 55.0 | 10.0, 20.0 | 4.48 | 0.500 [0.470, 0.530] | 0.300 | 75.0 | 20.0 | 16.0 | 12.0 | 72.0 | 12.3 |",
    "| seap 20 % | 55.0 [50.0, 60.0] |",
    "| seap 20 % | -5.0 [-7.0, -3.0] |",
    "| seap 20 % | 4.48 [4.06, 4.95] |",
    "| seap 20 % | 0.500 [0.470, 0.530] |",
    "| seap 20 % | 0.300, 75.0 |",
    "| seap 20 % | 10.0 [5.0, 15.0], 20.0 [15.0, 25.0] |",
  ]);
  const dense =
    "| dense | 60.0 [55.0, 65.0] | – | 60.0 | 10.0, 20.0 | 2.72 | – | – | – | 0.0 | 0.0 | 0.0 | 90.0 | – |";
  t.is(rowsOf("dense")[0], dense);
  t.true(markdown.includes(formatOverview(result)));
});

test("JSON gives everything back, a line for each plan", (t) => {
  const json = formatJson(result);
  t.deepEqual(JSON.parse(json), result);
  t.is(json.split("\n").filter((line) => line.includes("keptChannels")).length, 2);
  const bare = { ...result, plans: [] };
  t.deepEqual(JSON.parse(formatJson(bare)), bare);
});

test("the overview has no columns for what was not measured", (t) => {
  const methods = result.methods.map((each) => ({
    ...each,
    tasks: each.tasks.filter(({ kind }) => kind === "choice"),
  }));
  const [header] = formatOverview({ ...result, methods }).split("\n");
  t.is(
    header,
    "| method | mean accuracy, % | to dense, points | boolq | sparsity of middle, % | of blocks | of model | MB | build, s |",
  );
});

test("the page asks for nothing from outside and runs no script", (t) => {
  const page = formatPage(result);
  t.notRegex(page, /https?:|\/\/|@import|url\(|<script|<link|<img|<iframe|\bsrc=|\bhref=/i);
});

test("the page is well formed", (t) => {
  const page = formatPage(result);
  const open: string[] = [];
  for (const [, closing, name, selfClosing] of page
    .replace(/<!doctype html>|<meta[^>]*>|<style>[^]*?<\/style>/g, "")
    .matchAll(/<(\/?)([a-z]\w*)(?:\s+[\w:-]+="[^"<>]*")*\s*(\/?)>/gi)) {
    if (closing) t.is(open.pop(), name);
    else if (!selfClosing) open.push(name!);
  }
  t.deepEqual(open, []);
  t.notRegex(page, /NaN|undefined|Infinity/);
  t.true(page.includes("Tiny &lt;&amp;&gt; model"));
});

test("the page plots accuracy and perplexity over sparsity, and plans by layer and task", (t) => {
  const page = formatPage(result);
  const titles = Array.from(page.matchAll(/<svg [^>]*aria-label="([^"]*)"/g), ([, title]) => title);
  t.deepEqual(titles, [
    "Mean accuracy",
    "Accuracy: boolq",
    "Perplexity: gsm8k",
    "Sparsity by layer",
    "Kept MLP channels by task and layer",
    "Overlap of kept channels (Jaccard)",
    "Overlap of kept heads (Jaccard)",
  ]);
  t.true(page.includes("<title>seap: 20, 55.00</title>"));
  t.true(page.includes("<title>code, math: 0.333</title>"));
});

test("a result of dense alone has a page without plots", (t) => {
  const page = formatPage({ ...result, methods: result.methods.slice(0, 1), plans: [] });
  t.notRegex(page, /<svg/);
});

test("layer sparsity counts all projections, kept channels and overlap their own", (t) => {
  const [code, math] = [plan("code", [0, 1, 2, 3]), plan("math", [2, 3, 4, 5])];
  // Dense 2 * 2 * (4 + 2) + 3 * 8 = 48 a hidden dimension; kept 2 * 2 * (2 + 2) + 3 * 4 = 28.
  t.deepEqual(layerSparsity(model, code), [1 - 28 / 48, 1]);
  t.deepEqual(keptChannelShares(model, code), [0.5, 0]);
  t.is(jaccard(code, math, "keptChannels"), 2 / 6);
  t.is(jaccard(code, math, "keptHeads"), 1);
});
