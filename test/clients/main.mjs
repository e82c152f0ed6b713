import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { writeTinyGguf } from "../../dist/test/helpers/tiny-gguf.js";
import { findChromium } from "../../dist/test/helpers/find-chromium.js";
import { stopwatch } from "../../scripts/run.mjs";
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

/** Says what it did when it is over, since others run at the same time; one that ends badly is one more failure. */
async function runClient(server, { name, file, python = pythons.base }) {
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
    stdio: ["ignore", "pipe", "pipe"],
    timeout: clientTimeoutMs,
  });
  const elapsed = stopwatch();
  const lines = [];
  for (const input of [child.stdout, child.stderr]) {
    createInterface({ input }).on("line", (line) => lines.push(line));
  }
  const [code, signal] = await once(child, "close");
  const count = (word) => lines.filter((line) => line.startsWith(`${word} `)).length;
  if (code !== 0 || count("PASS") + count("FAIL") === 0) {
    lines.push(`FAIL ${file} ended with ${signal ?? `status ${code}`}`);
  }
  console.log(`\n── ${name} (${elapsed()})\n${lines.join("\n")}`);
  total.passed += count("PASS");
  total.failed += count("FAIL");
}

/** Runs clients against a server of their own, which is started for the first that is installed; how it ends counts too. */
async function runAgainst(flags, clients) {
  let server;
  try {
    for (const client of clients) {
      if (client.isSlow && isQuick) continue;
      const failure = await client.packages;
      if (failure !== undefined) {
        tellMissing(client.name, failure);
        continue;
      }
      server ??= await startServer({ "api-key": apiKey, ...flags });
      await runClient(server, client);
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
  const inAgents = { packages: agents, python: pythons.agents, isSlow: true };
  // A model of noise: what a client understands of it is not the model's merit.
  const noise = { model: tinyPath, threads: 1 };
  const withLimits = runAgainst({ ...noise, "max-concurrent-per-key": maxConcurrent }, [
    { name: "Malformed messages", file: "fuzz.mjs" },
    { name: "Bodies of coding agents", file: "agent-bodies.mjs" },
    { name: "Vercel AI SDK", file: "ai-sdk.mjs", packages: node },
    { name: "LangChain.js", file: "langchain.mjs", packages: node },
    { name: "LangGraph", file: "langgraph.mjs", packages: node },
    { name: "OpenAI Agents SDK for JavaScript", file: "openai-agents.mjs", packages: node },
    { name: "openai for JavaScript, zod's models", file: "zod.mjs", packages: node },
    { name: "openai for Python", file: "openai_python.py", packages: base },
    { name: "openai for Python, pydantic's models", file: "pydantic_models.py", packages: base },
    { name: "guidellm", file: "guidellm.mjs", packages: base },
    { name: "OpenAI Agents SDK for Python", file: "agents_python.py", ...inAgents },
    { name: "LiteLLM and its proxy", file: "litellm_proxy.py", ...inAgents },
  ]);
  // Requests at random seldom say where an answer is to end.
  await runAgainst({ ...noise, "context-length": 128 }, [
    { name: "schemathesis", file: "schemathesis.mjs", packages: base },
  ]);
  // Rounding to 8 bits depends on which texts are read together; without it, scores are equal.
  await runAgainst({ model: "default", weights: "f32" }, [
    { name: "lm-evaluation-harness", file: "lm-eval.mjs", packages: base },
  ]);
  await withLimits;
  // What the server counts is looked at here.
  const inWebui = { packages: webui, python: pythons.webui, isSlow: true };
  await runAgainst(noise, [{ name: "Open WebUI", file: "open-webui.mjs", ...inWebui }]);
} finally {
  rmSync(temporary, { recursive: true });
}
console.log(`\n${total.passed} passed, ${total.failed} failed`);
process.exitCode = total.failed === 0 ? 0 : 1;
