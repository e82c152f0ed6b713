import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { writeTinyGguf } from "../../dist/test/helpers/tiny-gguf.js";
import { staleReason } from "../../scripts/install.mjs";
import { progress, run } from "../../scripts/run.mjs";

// Runs clients that we did not write against one server process; started in the project's folder.

const folder = "test/clients";
const apiKey = "clients";
/** Requests of one key at a time: the checks of retries use all of them up. */
const maxConcurrent = 2;
/** A client that hangs is a failure. */
const clientTimeoutMs = 120_000;

/** @returns why the packages cannot be had, or undefined. */
async function installNodeClients() {
  const read = (path) => (existsSync(path) ? JSON.parse(readFileSync(path, "utf8")) : undefined);
  const lock = read(join(folder, "package-lock.json"));
  const installed = read(join(folder, "node_modules/.package-lock.json"));
  if (staleReason(lock, installed) === undefined) return undefined;
  progress("installing the clients for Node …");
  const npm = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
  return tried(["npm", ...npm], { cwd: folder, shell: process.platform === "win32" });
}

const venv = ".cache/clients-venv";
const python = join(venv, process.platform === "win32" ? "Scripts/python.exe" : "bin/python");

/** @returns why the packages cannot be had, or undefined. */
async function installPythonClients() {
  const wanted = readFileSync(join(folder, "requirements.txt"), "utf8");
  const stamp = join(venv, "installed.txt");
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === wanted) return undefined;
  progress("installing the client for Python …");
  mkdirSync(".cache", { recursive: true });
  const system = process.platform === "win32" ? "python" : "python3";
  const pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
  const failure =
    (await tried([system, "-m", "venv", venv])) ??
    (await tried([python, ...pip, "-r", join(folder, "requirements.txt")]));
  if (failure === undefined) writeFileSync(stamp, wanted);
  return failure;
}

/** @returns what failed, or undefined. */
async function tried([command, ...args], options = {}) {
  const what = [command, ...args].join(" ");
  try {
    const { code, received } = await run(command, args, { ...options, stdout: "stderr" });
    if (received !== null) process.exit(1);
    return code === 0 ? undefined : `"${what}" failed`;
  } catch (error) {
    return `"${what}" failed: ${error.message}`;
  }
}

/** `seap serve` with a model of noise: what a client understands here is not the model's merit. */
async function startServer(modelPath) {
  const flags = {
    model: modelPath,
    port: 0,
    router: "off",
    threads: 1,
    "api-key": apiKey,
    "max-concurrent-per-key": maxConcurrent,
  };
  // What the user has set for servers of their own does not count here.
  const isOwn = ([name]) => !name.startsWith("SEAP_");
  const args = Object.entries(flags).flatMap(([name, value]) => [`--${name}`, String(value)]);
  const child = spawn(process.execPath, ["bin/seap.js", "serve", ...args], {
    env: Object.fromEntries(Object.entries(process.env).filter(isOwn)),
    stdio: ["ignore", "ignore", "pipe"],
  });
  const lines = [];
  const url = await new Promise((resolve, reject) => {
    let listening;
    createInterface({ input: child.stderr }).on("line", (line) => {
      lines.push(line);
      listening ??= /listening.*?(http:[^"\s]+)/.exec(line)?.[1];
      if (line.includes("model ready")) resolve(listening);
    });
    child.on("error", reject);
    child.on("close", () => reject(new Error(`the server ended:\n${lines.join("\n")}`)));
  });
  return { child, url, lines };
}

/** @returns how many checks passed and failed; a client that ends badly is one more failure. */
async function runClient(command, args, url) {
  const child = spawn(command, args, {
    env: {
      ...process.env,
      SEAP_TEST_URL: `${url}/v1`,
      SEAP_TEST_KEY: apiKey,
      SEAP_TEST_CONCURRENT: String(maxConcurrent),
      PYTHONDONTWRITEBYTECODE: "1",
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
    console.log(`FAIL ${args.join(" ")} ended with ${signal ?? `status ${code}`}`);
  }
  return counts;
}

const failures = { node: await installNodeClients(), python: await installPythonClients() };
const clients = [
  ["openai for Python", failures.python, python, "openai_python.py"],
  ["Vercel AI SDK", failures.node, process.execPath, "ai-sdk.mjs"],
  ["LangChain.js", failures.node, process.execPath, "langchain.mjs"],
];

const temporary = mkdtempSync(join(tmpdir(), "seap-clients-"));
const total = { passed: 0, failed: 0 };
let server;
try {
  const modelPath = join(temporary, "tiny.gguf");
  writeTinyGguf(modelPath);
  server = await startServer(modelPath);
  for (const [name, failure, command, file] of clients) {
    console.log(`\n── ${name}`);
    if (failure !== undefined) {
      console.log(`SKIP ${name}: its packages cannot be installed: ${failure}`);
      continue;
    }
    const { passed, failed } = await runClient(command, [join(folder, file)], server.url);
    total.passed += passed;
    total.failed += failed;
  }
  const ended = once(server.child, "close");
  server.child.kill("SIGTERM");
  const [status] = await ended;
  if (status !== 0) {
    total.failed++;
    console.log(`FAIL the server ended with status ${status}:\n${server.lines.join("\n")}`);
  }
} finally {
  server?.child.kill("SIGKILL");
  rmSync(temporary, { recursive: true });
}
console.log(`\n${total.passed} passed, ${total.failed} failed`);
process.exitCode = total.failed === 0 ? 0 : 1;
