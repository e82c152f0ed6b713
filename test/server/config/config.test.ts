import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { ConfigError } from "../../../server/base/config-error.ts";
import { configKeys, parseConfig, toFlag, toVariable } from "../../../server/config/config.ts";
import { physicalCores } from "../../../server/config/physical-cores.ts";
import { serveHelp } from "../../../bin/serve-help.ts";

function writeConfig(t: ExecutionContext, text: string): string {
  const folder = mkdtempSync(join(tmpdir(), "seap-config-"));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const file = join(folder, "seap.json");
  writeFileSync(file, text);
  return file;
}

function parse(args: readonly string[], env: Record<string, string> = {}) {
  return parseConfig({ args, env }).config;
}

test("without flags, environment and file the defaults hold", (t) => {
  t.deepEqual(parse([]), {
    model: "default",
    weights: "q8",
    host: "127.0.0.1",
    port: 8000,
    threads: physicalCores(),
    engines: 1,
    contextLength: 0,
    generationConfig: "auto",
    maxBatch: 16,
    maxWaitingRequests: 256,
    maxWaitingTokens: 1_000_000,
    maxParkedRequests: 256,
    engineTimeoutSeconds: 600,
    engineRestarts: 5,
    prefillChunk: 128,
    maxGap: 100,
    router: "auto",
    routing: { rules: [] },
    stickyMargin: 2,
    experts: { mode: "auto", tasks: {} },
    expertPolicy: "load-aware",
    maxLossIncrease: 0.1,
    expertTokens: 8000,
    whileBuilding: "general",
    preload: [],
    expertIdleSeconds: 0,
    shadow: 0,
    shadowMaxKl: 0.5,
    bodyLimit: 8 * 2 ** 20,
    draftMax: 8,
    drainTimeoutSeconds: 30,
    keepAliveSeconds: 5,
    metricsOpen: false,
    corsOrigins: [],
    acceptLicense: [],
    allowedHosts: [],
    receiveTimeoutSeconds: 60,
    slowClientSeconds: 60,
    websocketIdleSeconds: 300,
    logLevel: "info",
    logFormat: "text",
  });
});

test("a flag wins over the environment, that over the file, that over the default", (t) => {
  const file = writeConfig(t, '{"port": 1, "maxBatch": 1, "host": "h1", "kvMemory": "1.5GiB"}');
  const env = { SEAP_PORT: "2", SEAP_MAX_BATCH: "2" };
  const config = parse(["--config", file, "--port", "3"], env);
  t.like(config, { port: 3, maxBatch: 2, host: "h1", kvMemory: 1.5 * 2 ** 30, prefillChunk: 128 });
  t.is(parse([], { SEAP_CONFIG: file }).port, 1);
});

test("there may be as many engines as threads and as requests that are decoded together", (t) => {
  t.is(parse(["--engines", "4", "--threads", "4"]).engines, 4);
  const message =
    "--engines: expected at most --threads, which is 2, as each engine takes at least 1 of it, got 3.";
  t.throws(() => parse(["--engines", "3", "--threads", "2"]), { instanceOf: ConfigError, message });
  const args = ["--threads", "8", "--max-batch", "4"];
  t.throws(() => parse(args, { SEAP_ENGINES: "5" }), {
    instanceOf: ConfigError,
    message: /^SEAP_ENGINES: expected at most --max-batch, which is 4/,
  });
});

test("every option can be given as a flag and as a variable", (t) => {
  const values: Record<string, string> = {
    weights: "f32",
    generationConfig: "openai",
    logLevel: "debug",
    logFormat: "json",
    otlpEndpoint: "http://localhost:4318",
    kvMemory: "2GiB",
    maxGap: "0.05s",
    bodyLimit: "1MB",
    routing: '{"rules": [{"when": {"keyword": "sum"}, "task": "math"}]}',
    experts: "off",
    expertPolicy: "task",
    expertSparsity: "0.3",
    whileBuilding: "wait",
    shadow: "0.01",
    metricsOpen: "true",
    corsOrigins: "https://app.example.com",
    rateLimit: "60/min",
  };
  // As many engines need as many threads.
  const env = { SEAP_THREADS: "8" };
  for (const key of configKeys) {
    const value = values[key] ?? "7";
    const given = parse([`--${toFlag(key)}`, value], env);
    t.deepEqual(given, parse([], { ...env, [toVariable(key)]: value }), key);
    t.notDeepEqual(given, parse([], env), key);
  }
});

test("names are a list in a file and have commas elsewhere", (t) => {
  const file = writeConfig(t, '{"modelName": ["org/a", "b"]}');
  t.deepEqual(parse(["--config", file]).modelName, ["org/a", "b"]);
  t.deepEqual(parse(["--model-name", "org/a, b"]).modelName, ["org/a", "b"]);
});

test("the experts of single tasks are an object in a file and JSON elsewhere", (t) => {
  const tasks = {
    code: { sparsity: 0.3, whileBuilding: "wait" as const },
    chat: { serve: false },
  };
  const file = writeConfig(t, JSON.stringify({ experts: { tasks } }));
  t.deepEqual(parse(["--config", file]).experts, { mode: "auto", tasks });
  t.deepEqual(parse(["--experts", JSON.stringify({ tasks })]).experts.tasks, tasks);
  t.is(parse(["--config", file, "--experts", "off"]).experts.mode, "off");
});

test("sizes have units", (t) => {
  const bytes = (text: string) => parse(["--kv-memory", text]).kvMemory;
  t.deepEqual(["4096", "2GiB", "1.5 MiB", "3kb"].map(bytes), [4096, 2 ** 31, 1.5 * 2 ** 20, 3000]);
});

const wrong: readonly (readonly [string[], Record<string, string>, RegExp])[] = [
  [["--prot", "1"], {}, /'--prot'.*seap serve --help/],
  [["--port"], {}, /--port/],
  [["extra"], {}, /extra/],
  [["--port", "70000"], {}, /^--port: expected an integer from 0 to 65535, got "70000"$/],
  [["--weights", "q3"], {}, /^--weights: expected one of q8, q4, f32, got "q3"$/],
  [[], { SEAP_MAX_BATCH: "many" }, /^SEAP_MAX_BATCH: expected an integer .*got "many"$/],
  [["--kv-memory", "2 apples"], {}, /^--kv-memory: expected a size/],
  [["--max-gap", "soon"], {}, /^--max-gap: expected a duration such as 100ms/],
  [["--keep-alive-seconds", "0"], {}, /more than 0/],
  [["--experts", "on"], {}, /^--experts: expected auto, off or an object .*got "on"$/],
  [["--max-loss-increase", "0"], {}, /^--max-loss-increase: expected a number above 0 .*got "0"$/],
  [["--expert-sparsity", "1"], {}, /^--expert-sparsity: expected .* below 1, got "1"$/],
  [["--shadow", "2"], {}, /^--shadow: expected a number from 0 to 1, got "2"$/],
  [["--while-building", "run"], {}, /expected one of general, wait, got "run"$/],
  [["--otlp-endpoint", "localhost:4318"], {}, /^--otlp-endpoint: expected a URL .*4318"$/],
  [["--config", "/nowhere.json"], {}, /\/nowhere\.json/],
];

for (const [args, env, message] of wrong) {
  test(`${[...args, ...Object.keys(env)].join(" ")} is refused with what was expected`, (t) => {
    t.throws(() => parse(args, env), { instanceOf: ConfigError, message });
  });
}

test("a file with an unknown key, a wrong value or no object is refused naming it", (t) => {
  const cases: [string, RegExp][] = [
    ['{"prot": 1}', /seap\.json: .*prot/],
    ['{"port": true}', /seap\.json: port: expected an integer .*got true/],
    ["[]", /seap\.json: expected a JSON object/],
    [
      '{"experts": {"tasks": {"code": {"sparsity": 1.5}}}}',
      /experts: tasks\.code\.sparsity: expected a number above 0 and below 1, got 1\.5$/,
    ],
    ['{"experts": {"tasks": {"code": {"sparsty": 0.3}}}}', /experts: tasks\.code: .*sparsty/],
    [
      '{"experts": {"tasks": {"code": {"sparsity": 0.3, "maxLossIncrease": 0.1}}}}',
      /tasks\.code: expected one of sparsity and maxLossIncrease, got both$/,
    ],
    ["{", /seap\.json: .*JSON/],
  ];
  for (const [text, message] of cases) {
    const file = writeConfig(t, text);
    t.throws(() => parse(["--config", file]), { instanceOf: ConfigError, message });
  }
});

test("unknown SEAP_ variables are reported, and a Kubernetes service link is no port", (t) => {
  const env = { SEAP_PORT: "tcp://10.0.0.1:8000", SEAP_MAXBATCH: "4", PATH: "/bin" };
  const { config, warnings } = parseConfig({ args: [], env });
  t.is(config.port, 8000);
  t.is(warnings.length, 1);
  t.regex(warnings[0]!, /SEAP_MAXBATCH/);
});

test("the help documents every flag and variable", (t) => {
  const help = serveHelp();
  for (const key of configKeys) {
    t.regex(help, new RegExp(`--${toFlag(key)}  \\(${toVariable(key)}\\)[^\n]*\n {6}\\S`));
  }
});
