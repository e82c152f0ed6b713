import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import test, { type ExecutionContext } from "ava";
import {
  type ObservedQuery,
  panelQueries,
  withAnswers,
  withVariables,
} from "../helpers/observed-queries.ts";
import { createLoad } from "../helpers/ops-load.ts";
import { setUpOps } from "../helpers/ops-setting.ts";
import {
  findPrometheus,
  Prometheus,
  promtool,
  type PrometheusTools,
} from "../helpers/prometheus.ts";
import { serveModel, type ServedModel } from "../helpers/serve-model.ts";
import { TinyExpertSource } from "../helpers/tiny-expert-source.ts";
import { writeTinyGguf } from "../helpers/tiny-gguf.ts";
import { writeTinyRouter } from "../helpers/tiny-router.ts";

const tasks = ["chat", "code", "math"];
const rules = resolve("grafana/rules/seap-alerts.yaml");

/** For the load to have filled all panels. */
const deadlineMs = 60_000;

const { folder, toolsOrSkip } = setUpOps(findPrometheus);

async function serve(t: ExecutionContext): Promise<ServedModel> {
  const modelPath = join(folder, "tiny.gguf");
  writeTinyGguf(modelPath);
  const router = join(folder, "router.safetensors");
  await writeTinyRouter(router, modelPath, tasks);
  const source = new TinyExpertSource(modelPath, join(folder, "experts"), tasks);
  const routing = { rules: [{ when: { keyword: "translate" }, task: "chat" }] };
  const served = await serveModel(
    [
      ...["--model", modelPath, "--router", router, "--preload", tasks.join(",")],
      ...["--shadow", "1", "--shadow-max-kl", "99", "--routing", JSON.stringify(routing)],
    ],
    { experts: source },
  );
  t.teardown(() => served.stop());
  return served;
}

async function scrape(t: ExecutionContext, found: PrometheusTools, url: string) {
  const config = join(folder, "prometheus.yaml");
  const text = readFileSync("grafana/prometheus.yaml", "utf8")
    .replaceAll("15s", "500ms")
    .replace("rules/seap-alerts.yaml", rules)
    .replace("localhost:8000", new URL(url).host);
  writeFileSync(config, text);
  const dataDir = join(folder, "data");
  mkdirSync(dataDir, { recursive: true });
  const prometheus = await Prometheus.start(found, config, dataDir);
  t.teardown(() => prometheus.stop());
  return prometheus;
}

interface RulesJson {
  readonly groups: readonly {
    readonly name: string;
    readonly rules: readonly {
      readonly name: string;
      readonly query: string;
      readonly health: string;
      readonly lastError?: string;
    }[];
  }[];
}

async function ruleQueries(prometheus: Prometheus): Promise<ObservedQuery[]> {
  const { groups } = await prometheus.get<RulesJson>("rules");
  return groups.flatMap(({ name: place, rules: all }) =>
    all.map(({ name: title, query: expression }) => ({ place, title, legend: "", expression })),
  );
}

/** Series with a number at this moment. */
async function numSeries(prometheus: Prometheus, { expression }: ObservedQuery): Promise<number> {
  const query = withAnswers(withVariables(expression, "10s"));
  const samples = await prometheus.query(query);
  return samples.filter(({ value }) => Number.isFinite(value)).length;
}

test("a real Prometheus finds data for every panel and every rule", async (t) => {
  const found = toolsOrSkip(t);
  if (found === undefined) return;
  t.timeout(180_000);
  const served = await serve(t);
  const prometheus = await scrape(t, found, served.url);
  const load = await createLoad(t, served, tasks);
  const queries = [...panelQueries(), ...(await ruleQueries(prometheus))];
  const answered = new Map<ObservedQuery, number>();
  const startedMs = performance.now();
  while (answered.size < queries.length && performance.now() - startedMs < deadlineMs) {
    await load();
    // Experts are compared with the unpruned model when nothing else is to be done.
    await delay(200);
    for (const query of queries) {
      const count = answered.has(query) ? 0 : await numSeries(prometheus, query);
      if (count > 0) answered.set(query, count);
    }
  }
  const unanswered = queries.filter((query) => !answered.has(query));
  const describe = ({ place, title, legend }: ObservedQuery) =>
    `${place} / ${title}${legend === "" ? "" : ` (${legend})`}`;
  if (process.env["SEAP_OPS_REPORT"] !== undefined) {
    for (const query of queries) {
      const count = answered.get(query);
      t.log(`${count === undefined ? "NO DATA" : `${count} series`}: ${describe(query)}`);
    }
  }
  const panels = new Set(panelQueries().map(({ place, title }) => `${place}/${title}`)).size;
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(0);
  t.log(`${panels} panels, ${queries.length} queries with those of rules, after ${seconds} s`);
  t.deepEqual(unanswered.map(describe), []);

  const { groups } = await prometheus.get<RulesJson>("rules");
  const unwell = groups.flatMap(({ rules: all }) => all.filter(({ health }) => health !== "ok"));
  t.deepEqual(unwell, []);
  const [up, duration, samples] = await Promise.all(
    ["up", "scrape_duration_seconds", "scrape_samples_scraped"].map((name) =>
      prometheus.query(`${name}{job="seap"}`),
    ),
  );
  t.is(up?.[0]?.value, 1);
  const ms = (duration![0]!.value * 1000).toFixed(1);
  t.log(`a scrape of ${samples![0]!.value} samples takes ${ms} ms under load`);
  t.log(await restCost(served));

  const text = await (await fetch(`${served.url}/metrics`)).text();
  const own = text.replaceAll(/^(# (HELP|TYPE) )?vllm:.*\n/gm, "");
  const { ok, output } = await promtool(found, ["check", "metrics"], own);
  t.true(ok && output === "", output);
});

/** What a scrape takes when nothing else is going on. */
async function restCost({ url }: ServedModel): Promise<string> {
  const times: number[] = [];
  let sizeBytes = 0;
  for (let i = 0; i < 20; i++) {
    const startedMs = performance.now();
    sizeBytes = (await (await fetch(`${url}/metrics`)).text()).length;
    times.push(performance.now() - startedMs);
  }
  const median = times.sort((a, b) => a - b)[10]!;
  return `a scrape at rest takes ${median.toFixed(1)} ms (median of 20) for ${Math.round(sizeBytes / 1024)} KiB`;
}

test("promtool finds nothing wrong with rules and configuration, and alerts fire when they should", async (t) => {
  const found = toolsOrSkip(t);
  if (found === undefined) return;
  for (const args of [
    ["check", "rules", rules],
    ["check", "config", "grafana/prometheus.yaml"],
    ["test", "rules", "grafana/rules/seap-alerts.test.yaml"],
  ]) {
    const { ok, output } = await promtool(found, args);
    t.true(ok, output);
    t.log(output.trim().split("\n").join(" "));
  }
});
