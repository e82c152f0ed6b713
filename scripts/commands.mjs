import { join } from "node:path";
import { parseAvaCounts, parseClientCounts } from "./ava-counts.mjs";
import { ensureBuilt } from "./build.mjs";
import { ensureInstalled } from "./install.mjs";
import { exitIfFailed, exitLike, run } from "./run.mjs";

const usage = `usage: node scripts/bootstrap.mjs <command> [arguments]

  start [flags]           serve; the flags are those of "seap serve"
  test [flags]            check formatting, lint, types, then run the tests and clients that others wrote;
                          the flags are those of ava, and with some only ava's tests run
  bench [flags]           compare the server's speed with llama.cpp's
  bench-experts [flags]   compare pruned experts' speed with the dense model's
  bench-models [flags]    compare speed, memory and start of the named models with llama.cpp's
  bench-weights [flags]   measure what rounding the weights of the named models costs in quality
  bench-speculation [flags]   measure what guessed tokens cost, and from when on they pay
  bench-serving [flags]   measure what serving many experts at once costs and gives
  bench-load [flags]      put the server under load, beside llama.cpp's own
  soak [flags]            put it under mixed load for an hour, and judge whether memory, handles or lag grow
  bench-fairness [flags]  measure what running streams notice of prompts that arrive, and of a long one
  bench-engines [flags]   compare several engines with one that has more threads
  test-ops [flags]        ask a real Prometheus for what all dashboards and alerts show of a server under load
  test-hostile [flags]    send requests of which a third means harm, and judge how long /health then takes
  test-models [flags]     compare all named models with llama.cpp's answers, after fetching them (2 GB), and let an agent
                          use tools
  test-clients [flags]    run clients that others wrote against a server, after installing them (3 GB);
                          --quick leaves out those that take long, as "test" does (700 MB),
                          --skip-missing those that cannot be installed, which fail otherwise
  docs-metrics            write docs/metrics.md from the definitions of the metrics
  docs-parameters         write docs/parameters.md from the tables of known parameters
  build-dashboards        write grafana/dashboards/ from grafana/src/
  ship-router [flags]     fit the package's router anew; the flags are those of "seap router fit"

Each command first installs packages and builds where that is needed.`;

const clientsMain = "test/clients/main.mjs";

/**
 * Keeps glibc from holding on to the memory of released sessions, which is read before Node starts, and ONNX Runtime from
 * reporting on benches, which do not start in bin/seap.js.
 */
const servingEnv = {
  ...process.env,
  MALLOC_TRIM_THRESHOLD_: "131072",
  ORT_DISABLE_TELEMETRY: "1",
};

/** Runs one command and ends the process as that command ended. */
export async function main(root, [command, ...args]) {
  switch (command) {
    case "start":
      await ensureInstalled(root);
      await ensureBuilt(root);
      return serve([join(root, "bin/seap.js"), "serve", ...args]);
    case "bench":
      await ensureInstalled(root);
      await ensureBuilt(root);
      return serve([join(root, "dist/bench/main.js"), ...args]);
    case "bench-experts":
      await ensureInstalled(root);
      await ensureBuilt(root);
      return serve([join(root, "dist/bench/experts.js"), ...args]);
    case "bench-models":
      await ensureInstalled(root);
      await ensureBuilt(root);
      return serve([join(root, "dist/bench/models.js"), ...args]);
    case "bench-weights":
      await ensureInstalled(root);
      await ensureBuilt(root);
      return serve([join(root, "dist/bench/weights.js"), ...args]);
    case "bench-speculation":
      await ensureInstalled(root);
      await ensureBuilt(root);
      return serve([join(root, "dist/bench/speculation.js"), ...args]);
    case "bench-serving":
      await ensureInstalled(root);
      await ensureBuilt(root);
      return serve([join(root, "dist/bench/expert-serving.js"), ...args]);
    case "bench-load":
      await ensureInstalled(root);
      await ensureBuilt(root);
      return serve([join(root, "dist/bench/load/main.js"), ...args]);
    case "soak":
      await ensureInstalled(root);
      await ensureBuilt(root);
      return serve([join(root, "dist/bench/soak/main.js"), ...args]);
    case "bench-fairness":
      await ensureInstalled(root);
      await ensureBuilt(root);
      return serve([join(root, "dist/bench/fairness.js"), ...args]);
    case "bench-engines":
      await ensureInstalled(root);
      await ensureBuilt(root);
      return serve([join(root, "dist/bench/engines.js"), ...args]);
    case "test":
      await ensureInstalled(root);
      return test(root, args);
    case "test-ops":
      await ensureInstalled(root);
      await ensureBuilt(root);
      return testOps(root, args);
    case "test-hostile":
      await ensureInstalled(root);
      await ensureBuilt(root);
      return testHostile(root, args);
    case "test-models":
      await ensureInstalled(root);
      await ensureBuilt(root);
      return testAlone(root, ["dist/test/models/*.test.js", "--serial", ...args], {
        SEAP_TEST_MODELS: "1",
      });
    case "test-clients":
      await ensureInstalled(root);
      await ensureBuilt(root);
      return testClients(root, args);
    case "docs-metrics":
      await ensureInstalled(root);
      await ensureBuilt(root);
      return serve([join(root, "scripts/write-metrics-doc.mjs")]);
    case "docs-parameters":
      await ensureInstalled(root);
      await ensureBuilt(root);
      return serve([join(root, "scripts/write-parameters-doc.mjs")]);
    case "build-dashboards":
      await ensureInstalled(root);
      await ensureBuilt(root);
      return serve([join(root, "scripts/write-dashboards.mjs")]);
    case "ship-router":
      await ensureInstalled(root);
      await ensureBuilt(root);
      return serve([join(root, "scripts/ship-router.mjs"), ...args]);
    default:
      console.error(usage);
      process.exit(command === "--help" ? 0 : 2);
  }
}

async function serve(nodeArgs) {
  exitLike(await run(process.execPath, ["--enable-source-maps", ...nodeArgs], { env: servingEnv }));
}

/**
 * Stops at the first stage that fails. The last line on stdout is `N passed, N failed`: ava's tests and the
 * clients' checks.
 */
async function test(root, avaArgs) {
  const tool = (path) => join(root, "node_modules", path);
  const node = (args, options) => run(process.execPath, args, { cwd: root, ...options });

  heading("format (prettier)");
  exitIfFailed(await node([tool("prettier/bin/prettier.cjs"), "--check", "."]));
  heading("lint (eslint)");
  exitIfFailed(await node([tool("eslint/bin/eslint.js"), "."]));
  heading("types (tsc)");
  await ensureBuilt(root);
  heading("tests (ava)");
  const result = await node([tool("ava/entrypoints/cli.mjs"), ...avaArgs], {
    env: colourThroughPipe(),
    stdout: "capture",
  });
  const tests = parseAvaCounts(result.stdout, result.code === 0);
  // Flags choose tests, and clients are none of them.
  if (result.code !== 0 || result.received !== null || avaArgs.length > 0) {
    console.log(`\n${tests.passed} passed, ${tests.failed} failed`);
    return exitIfFailed(result);
  }
  heading("clients");
  // Where nobody watches, a client that cannot be installed would be missed.
  const clientArgs = ["--quick", ...(process.env.CI ? [] : ["--skip-missing"])];
  const clientsResult = await node([clientsMain, ...clientArgs], { stdout: "capture" });
  const clients = parseClientCounts(clientsResult.stdout);
  const [passed, failed] = [tests.passed + clients.passed, tests.failed + clients.failed];
  console.log(`\nall together:\n${passed} passed, ${failed} failed`);
  exitIfFailed(clientsResult);
}

/** The part of the tests that needs Prometheus, by itself and with all that it has to say. */
async function testOps(root, avaArgs) {
  await testAlone(root, ["dist/test/ops/**/*.test.js", ...avaArgs], { SEAP_OPS_REPORT: "1" });
}

/** A test that judges times: nothing else may run beside it. */
async function testHostile(root, avaArgs) {
  await testAlone(root, ["dist/test/e2e/hostile.test.js", ...avaArgs], { SEAP_HOSTILE_ALONE: "1" });
}

async function testAlone(root, avaArgs, env) {
  const ava = join(root, "node_modules/ava/entrypoints/cli.mjs");
  exitLike(
    await run(process.execPath, [ava, ...avaArgs], { cwd: root, env: { ...process.env, ...env } }),
  );
}

/** The last line on stdout is `N passed, N failed`. */
async function testClients(root, args) {
  exitLike(await run(process.execPath, [clientsMain, ...args], { cwd: root }));
}

function heading(title) {
  console.log(`\n── ${title}`);
}

/** ava writes to a pipe here, which would switch its colours off. */
function colourThroughPipe() {
  const decided = ["FORCE_COLOR", "NO_COLOR"].some((name) => name in process.env);
  return process.stdout.isTTY && !decided ? { ...process.env, FORCE_COLOR: "1" } : process.env;
}
