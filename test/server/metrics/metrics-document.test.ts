import { readFileSync } from "node:fs";
import test from "ava";
import { format, resolveConfig } from "prettier";
import { metricAreas } from "../../../server/metrics/catalogue.ts";
import { metricsDocument } from "../../../server/metrics/document.ts";
import { expertSnapshot } from "../../helpers/expert-snapshot.ts";
import { FakeEngine } from "../../helpers/fake-engine.ts";
import { startServer } from "../../helpers/start-server.ts";

const definitions = metricAreas.flatMap(({ metrics }) => metrics);

test("docs/metrics.md is what npm run docs:metrics makes of the definitions", async (t) => {
  const path = "docs/metrics.md";
  const options = await resolveConfig(path);
  const expected = await format(await metricsDocument(), { ...options, parser: "markdown" });
  t.is(readFileSync(path, "utf8"), expected);
});

test("what is exported is what is defined, with its type and help", async (t) => {
  const engine = new FakeEngine();
  engine.snapshots = [expertSnapshot("code")];
  const experts = { memoryBytes: 1, builder: { numBuilds: () => 0 } };
  const { get } = await startServer(t, { engine, experts });
  const lines = (await (await get("/metrics")).text()).split("\n");
  const of = (keyword: string) =>
    lines.flatMap((line) => {
      const [, name = "", rest = ""] = new RegExp(`^# ${keyword} (\\S+) (.+)$`).exec(line) ?? [];
      return /^(seap|vllm|gen_ai)/.test(name) ? [`${name} ${rest}`] : [];
    });
  const expected = (value: "type" | "help") =>
    definitions.flatMap((definition) => {
      const { name, vllm, openTelemetry } = definition;
      return [name, vllm, openTelemetry].flatMap((each) =>
        each === undefined ? [] : [`${each} ${definition[value]}`],
      );
    });
  t.deepEqual(of("TYPE").sort(), expected("type").sort());
  t.deepEqual(of("HELP").sort(), expected("help").sort());
});

test("no name is given twice, and histograms have ascending edges", (t) => {
  const names = definitions.flatMap(({ name, vllm = [], openTelemetry = [] }) =>
    [name, vllm, openTelemetry].flat(),
  );
  t.is(new Set(names).size, names.length);
  for (const { name, type, buckets } of definitions) {
    t.is(buckets !== undefined, type === "histogram", name);
    t.deepEqual(buckets, buckets && [...buckets].sort((a, b) => a - b), name);
  }
});
