import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { writeTinyGguf } from "../../dist/test/helpers/tiny-gguf.js";
import { findChromium } from "../../dist/test/helpers/find-chromium.js";
import { installNodeClients, installPythonClients, pythonProgram, pythons } from "./packages.mjs";
import { startServer } from "./server.mjs";

// Runs clients that we did not write against our server; started in the project's folder. With --quick those are left out
// that take long to install or to run (`isSlow`), and the others are told to try less (SEAP_TEST_QUICK).

const folder = "test/clients";
const apiKey = "clients";
/** Requests of one key at a time: the checks of retries use all of them up. */
const maxConcurrent = 2;
/** A client that hangs is a failure. */
const clientTimeoutMs = 600_000;

const args = process.argv.slice(2);
const maySkip = args.includes("--skip-missing");
const isQuick = args.includes("--quick");
const unknown = args.find((arg) => !["--skip-missing", "--quick"].includes(arg));
if (unknown !== undefined) {
  console.error(`test-clients: expected --quick, --skip-missing or nothing, got ${unknown}`);
  process.exit(2);
}

const temporary = mkdtempSync(join(tmpdir(), "seap-clients-"));
const tinyPath = join(temporary, "tiny.gguf");
const total = { passed: 0, failed: 0 };
let server;

/** @returns how many checks passed and failed; a client that ends badly is one more failure. */
async function runClient(file, python) {
  const pythonPath = resolve(pythonProgram(python, "python"));
  const command = file.endsWith(".py") ? pythonPath : process.execPath;
  const child = spawn(command, [join(folder, file)], {
    env: {
      ...process.env,
      SEAP_TEST_URL: `${server.url}/v1`,
      SEAP_TEST_KEY: apiKey,
      SEAP_TEST_CONCURRENT: String(maxConcurrent),
      SEAP_TEST_TEMP: temporary,
      SEAP_TEST_PYTHON: pythonPath,
      ...(isQuick && { SEAP_TEST_QUICK: "1" }),
      PYTHONPYCACHEPREFIX: resolve(".cache/clients-pycache"),
    },
    stdio: ["ignore", "pipe", "inherit"],
    timeout: clientTimeoutMs,
  });
  const counts = { passed: 0, failed: 0 };
  createInterface({ input: child.stdout }).on("line", (line) => {
    if (line.startsWith("PASS ")) counts.passed++;
    if (line.startsWith("FAIL ")) counts.failed++;
    console.log(line);
  });
  const [code, signal] = await once(child, "close");
  if (code !== 0 || counts.passed + counts.failed === 0) {
    counts.failed++;
    console.log(`FAIL ${file} ended with ${signal ?? `status ${code}`}`);
  }
  return counts;
}

/** Runs clients against a server of their own, which is started for the first that is installed; how it ends counts too. */
async function runAgainst(flags, clients) {
  server = undefined;
  try {
    for (const { name, file, packages, python = pythons.base, isSlow } of clients) {
      if (isSlow && isQuick) continue;
      console.log(`\n── ${name}`);
      const failure = await packages;
      if (failure !== undefined) {
        tellMissing(name, failure);
        continue;
      }
      server ??= await startServer({ "api-key": apiKey, ...flags });
      const { passed, failed } = await runClient(file, python);
      total.passed += passed;
      total.failed += failed;
    }
    const wrong = await server?.stop();
    if (wrong !== undefined) throw new Error(wrong);
  } catch (error) {
    total.failed++;
    console.log(`FAIL ${error.message}`);
  } finally {
    server?.kill();
  }
}

function tellMissing(name, failure) {
  if (maySkip) {
    console.log(`SKIP ${name}: it cannot be installed: ${failure}`);
    return;
  }
  total.failed++;
  console.log(`FAIL ${name}: it cannot be installed, and --skip-missing is not given: ${failure}`);
}

try {
  writeTinyGguf(tinyPath);
  // One after the other, while what does not need them runs.
  const node = installNodeClients();
  const base = installPythonClients(pythons.base);
  const agents = isQuick ? undefined : base.then(() => installPythonClients(pythons.agents));
  const webui = agents
    ?.then(() => installPythonClients(pythons.webui))
    .then((failure) => failure ?? (findChromium() === undefined ? "no Chromium" : undefined));
  // A model of noise: what a client understands of it is not the model's merit.
  await runAgainst({ model: tinyPath, threads: 1, "max-concurrent-per-key": maxConcurrent }, [
    { name: "Malformed messages", file: "fuzz.mjs" },
    { name: "Vercel AI SDK", file: "ai-sdk.mjs", packages: node },
    { name: "LangChain.js", file: "langchain.mjs", packages: node },
    { name: "LangGraph", file: "langgraph.mjs", packages: node },
    { name: "openai for Python", file: "openai_python.py", packages: base },
    { name: "guidellm", file: "guidellm.mjs", packages: base },
    {
      name: "LiteLLM and its proxy",
      file: "litellm_proxy.py",
      packages: agents,
      python: pythons.agents,
      isSlow: true,
    },
  ]);
  // Requests at random seldom say where an answer is to end.
  await runAgainst({ model: tinyPath, threads: 1, "context-length": 128 }, [
    { name: "schemathesis", file: "schemathesis.mjs", packages: base },
  ]);
  // Rounding to 8 bits depends on which texts are read together; without it, scores are equal.
  await runAgainst({ model: "default", weights: "f32" }, [
    { name: "lm-evaluation-harness", file: "lm-eval.mjs", packages: base },
  ]);
  // Its requests are not to be counted among those of others.
  await runAgainst({ model: tinyPath, threads: 1 }, [
    {
      name: "Open WebUI",
      file: "open-webui.mjs",
      packages: webui,
      python: pythons.webui,
      isSlow: true,
    },
  ]);
} finally {
  rmSync(temporary, { recursive: true });
}
console.log(`\n${total.passed} passed, ${total.failed} failed`);
process.exitCode = total.failed === 0 ? 0 : 1;
