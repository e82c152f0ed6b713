import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { staleReason } from "../../scripts/install.mjs";
import { progress, run, stopwatch } from "../../scripts/run.mjs";

const folder = "test/clients";
const isWindows = process.platform === "win32";

/** Clients whose packages do not go together have Python environments of their own. */
export const pythons = {
  base: { venv: ".cache/clients-venv", requirements: "requirements.txt", size: "700 MB" },
  agents: { venv: ".cache/clients-venv-agents", requirements: "agents.txt", size: "600 MB" },
  webui: { venv: ".cache/clients-venv-webui", requirements: "open-webui.txt", size: "1.5 GB" },
};

/** Path of a program of one of the clients' Pythons. */
export function pythonProgram({ venv }, name) {
  return join(venv, isWindows ? `Scripts/${name}.exe` : `bin/${name}`);
}

/** @returns why the packages cannot be had, or undefined. */
export async function installNodeClients() {
  const read = (path) => (existsSync(path) ? JSON.parse(readFileSync(path, "utf8")) : undefined);
  const lock = read(join(folder, "package-lock.json"));
  const installed = read(join(folder, "node_modules/.package-lock.json"));
  if (staleReason(lock, installed) === undefined) return undefined;
  progress("installing the clients for Node …");
  const elapsed = stopwatch();
  const npm = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
  const failure = await tried(["npm", ...npm], { cwd: folder, shell: isWindows });
  if (failure === undefined) progress(`clients for Node installed in ${elapsed()}`);
  return failure;
}

/** @returns why the packages cannot be had, or undefined. */
export async function installPythonClients(python) {
  const { venv, requirements, size } = python;
  const wanted = readFileSync(join(folder, requirements), "utf8");
  const stamp = join(venv, "installed.txt");
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === wanted) return undefined;
  progress(`installing ${requirements} for Python (${size}) …`);
  const elapsed = stopwatch();
  mkdirSync(".cache", { recursive: true });
  // The list is complete, and most of what it brings is never imported.
  const flags = "--quiet --disable-pip-version-check --no-compile --no-deps".split(" ");
  const pip = ["-m", "pip", "install", ...flags];
  const failure =
    (await tried([isWindows ? "python" : "python3", "-m", "venv", venv])) ??
    (await tried([pythonProgram(python, "python"), ...pip, "-r", join(folder, requirements)]));
  if (failure !== undefined) return failure;
  writeFileSync(stamp, wanted);
  progress(`${requirements} installed in ${elapsed()}`);
  return undefined;
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
