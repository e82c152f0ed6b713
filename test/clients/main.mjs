import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { writeTinyGguf } from "../../dist/test/helpers/tiny-gguf.js";
import { installNodeClients, installPythonClients, pythonProgram } from "./packages.mjs";
import { startServer } from "./server.mjs";

// Runs clients that we did not write against our server; started in the project's folder.

const folder = "test/clients";
const apiKey = "clients";
/** Requests of one key at a time: the checks of retries use all of them up. */
const maxConcurrent = 2;
/** A client that hangs is a failure. */
const clientTimeoutMs = 600_000;

const args = process.argv.slice(2);
const maySkip = args.includes("--skip-missing");
const unknown = args.find((arg) => arg !== "--skip-missing");
if (unknown !== undefined) {
  console.error(`test-clients: expected --skip-missing or nothing, got ${unknown}`);
  process.exit(2);
}

const temporary = mkdtempSync(join(tmpdir(), "seap-clients-"));
const tinyPath = join(temporary, "tiny.gguf");
const total = { passed: 0, failed: 0 };
let server;

/** @returns how many checks passed and failed; a client that ends badly is one more failure. */
async function runClient(command, commandArgs) {
  const child = spawn(command, commandArgs, {
    env: {
      ...process.env,
      SEAP_TEST_URL: `${server.url}/v1`,
      SEAP_TEST_KEY: apiKey,
      SEAP_TEST_CONCURRENT: String(maxConcurrent),
      SEAP_TEST_TEMP: temporary,
      SEAP_TEST_PYTHON: resolve(pythonProgram("python")),
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
    console.log(`FAIL ${commandArgs.join(" ")} ended with ${signal ?? `status ${code}`}`);
  }
  return counts;
}

/** Runs clients against a server of their own, which is started for the first that is installed; how it ends counts too. */
async function runAgainst(flags, clients) {
  server = undefined;
  try {
    for (const { name, file, packages } of clients) {
      console.log(`\n── ${name}`);
      const failure = await packages;
      if (failure !== undefined) {
        tellMissing(name, failure);
        continue;
      }
      server ??= await startServer({ "api-key": apiKey, ...flags });
      const command = file.endsWith(".py") ? pythonProgram("python") : process.execPath;
      const { passed, failed } = await runClient(command, [join(folder, file)]);
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
  // Python's take a minute, in which what does not need them runs.
  const python = installPythonClients();
  const node = installNodeClients();
  // A model of noise: what a client understands of it is not the model's merit.
  await runAgainst({ model: tinyPath, threads: 1, "max-concurrent-per-key": maxConcurrent }, [
    { name: "Malformed messages", file: "fuzz.mjs" },
    { name: "Vercel AI SDK", file: "ai-sdk.mjs", packages: node },
    { name: "LangChain.js", file: "langchain.mjs", packages: node },
    { name: "openai for Python", file: "openai_python.py", packages: python },
    { name: "guidellm", file: "guidellm.mjs", packages: python },
  ]);
  // Requests at random seldom say where an answer is to end.
  await runAgainst({ model: tinyPath, threads: 1, "context-length": 128 }, [
    { name: "schemathesis", file: "schemathesis.mjs", packages: python },
  ]);
  // Rounding to 8 bits depends on which texts are read together; without it, scores are equal.
  await runAgainst({ model: "default", weights: "f32" }, [
    { name: "lm-evaluation-harness", file: "lm-eval.mjs", packages: python },
  ]);
} finally {
  rmSync(temporary, { recursive: true });
}
console.log(`\n${total.passed} passed, ${total.failed} failed`);
process.exitCode = total.failed === 0 ? 0 : 1;
