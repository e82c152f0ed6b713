import test from "ava";
import { latencyCurves } from "../../../bench/load/curve.ts";
import { formatLoadPage } from "../../../bench/load/report-page.ts";
import { formatReport } from "../../../bench/load/report-table.ts";
import type { LoadReport } from "../../../bench/load/report.ts";
import { summarise } from "../../../bench/load/summary.ts";

const records = [100, 200].map((ms) => ({
  startedAtMs: 0,
  firstTokenAtMs: ms,
  textAtMs: [ms, ms + 20],
  endedAtMs: ms + 20,
  promptTokens: 5,
  completionTokens: 2,
  cachedTokens: 0,
  error: null,
}));

const report: LoadReport = {
  machine: { cpu: "A processor", threads: 2, load: [0.5, 2.25] },
  model: "<b>model</b>",
  prompts: 'here & "there"',
  llama: {
    version: "1.0",
    buildSeconds: 600,
    settings: [{ setting: "Q8_0, -fa on", alone: 100, busy: 300 }],
  },
  comparisons: [
    {
      seap: "q8",
      llama: "Q8_0, -fa on",
      rounds: 3,
      rows: [
        {
          ...{
            name: "decoding",
            unit: "tokens/s",
            goal: 1.5,
            seap: [40, 50, 90],
            llama: [100, 100, 120],
          },
          errors: { seap: 0, llama: 0 },
        },
        {
          ...{ name: "first token", unit: "ms", goal: 0.9, seap: [80], llama: [100] },
          errors: { seap: 2, llama: 1 },
        },
      ],
      residentBytes: { seap: 2 ** 29, llama: null },
    },
  ],
  workloads: (["seap", "llama.cpp"] as const).map((side) => ({
    ...({ workload: "mixed", title: "<i>all</i> tasks", loop: "open", amount: 2, side } as const),
    setting: "q8",
    rounds: [summarise(records)],
    curves: latencyCurves(records),
  })),
  seconds: 100,
};

test("rows have the median of their rounds, the ratio, and whether the goal is reached", (t) => {
  const table = formatReport(report);
  t.regex(table, /\| decoding, tokens\/s \| 50\.0 \| 100 \| 0\.50 \| ≥ 1.5: missed \|/);
  t.regex(
    table,
    /\| first token, ms \(2 \+ 1 errors\) \| 80\.0 \| 100 \| 0\.80 \| ≤ 0.9: reached \|/,
  );
  t.regex(table, /built in 600 s/);
  t.regex(table, /load 0\.5 before and 2\.3 after/);
});

test("without llama.cpp the table says why, and has no ratios", (t) => {
  const alone = {
    ...report,
    llama: { problem: "there is no compiler" },
    comparisons: report.comparisons.map((comparison) => ({
      ...comparison,
      llama: null,
      rows: comparison.rows.map((row) => ({ ...row, llama: null })),
    })),
  };
  const table = formatReport(alone);
  t.regex(table, /No comparison with llama\.cpp: there is no compiler\./);
  t.regex(table, /\| decoding, tokens\/s \| 50\.0 \| – \| – \| ≥ 1.5 \|/);
});

test("the page escapes what it is given, and needs nothing from elsewhere", (t) => {
  const page = formatLoadPage(report);
  t.false(page.includes("<b>model</b>"));
  t.false(page.includes("<i>all</i>"));
  t.true(page.includes("&lt;b&gt;model&lt;/b&gt;"));
  t.true(page.includes("here &amp; &quot;there&quot;"));
  t.is(page.match(/<svg /g)?.length, 3);
  t.notRegex(page, /<script|<link|\b(?:src|href)=|https?:/);
});
