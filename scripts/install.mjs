import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { exitIfFailed, progress, run, stopwatch } from "./run.mjs";

/** Installs the locked packages where `node_modules` is missing or is not what the lock file says. */
export async function ensureInstalled(root) {
  const lock = readJson(join(root, "package-lock.json"));
  const installed = readJson(join(root, "node_modules/.package-lock.json"));
  const reason = staleReason(lock, installed);
  if (reason === undefined) return;

  progress(`installing packages (${reason}) …`);
  const elapsed = stopwatch();
  // A production environment leaves the compiler out unless told otherwise.
  const args = ["ci", "--include=dev", "--no-audit", "--no-fund", "--loglevel=error"];
  const npm = npmCommand(args);
  const result = await run(npm.command, npm.args, {
    cwd: root,
    shell: npm.shell,
    env: { ...process.env, ONNXRUNTIME_NODE_INSTALL: "skip" },
    stdout: "stderr",
  });
  if (result.code !== 0 && result.received === null) {
    progress("npm ci failed; installing packages needs the npm registry.");
  }
  exitIfFailed(result);
  progress(`packages installed in ${elapsed()}`);
  await installNvidiaLibraries(root);
}

/**
 * Compares what npm recorded after its last complete install with the lock file.
 * Packages for other platforms are optional and may be absent.
 *
 * @returns why packages must be installed, or undefined.
 */
export function staleReason(lock, installed) {
  if (installed === undefined) return "node_modules is missing";
  for (const [path, wanted] of Object.entries(lock?.packages ?? {})) {
    if (path === "") continue;
    const found = installed.packages[path];
    if (found === undefined && (wanted.optional || wanted.devOptional)) continue;
    if (found?.version !== wanted.version || found?.integrity !== wanted.integrity) {
      const name = path.slice(path.lastIndexOf("node_modules/") + "node_modules/".length);
      return `${name} ${wanted.version} is ${found === undefined ? "missing" : `at ${found.version}`}`;
    }
  }
  return undefined;
}

/**
 * onnxruntime-node's install script downloads hundreds of megabytes of CUDA libraries and fails
 * without internet, so it runs only for those who ask, with `ONNXRUNTIME_NODE_INSTALL=cuda12`.
 */
async function installNvidiaLibraries(root) {
  const wanted = process.env.ONNXRUNTIME_NODE_INSTALL;
  if (wanted === undefined || wanted === "skip") return;
  progress(`installing onnxruntime-node's extra libraries (${wanted}) …`);
  const elapsed = stopwatch();
  const script = join(root, "node_modules/onnxruntime-node/script/install.js");
  exitIfFailed(await run(process.execPath, [script], { cwd: root, stdout: "stderr" }));
  progress(`extra libraries installed in ${elapsed()}`);
}

/** The npm that started this process, or the one on the path. */
function npmCommand(args) {
  const cli = process.env.npm_execpath;
  if (cli?.endsWith("npm-cli.js")) return { command: process.execPath, args: [cli, ...args] };
  return { command: "npm", args, shell: process.platform === "win32" };
}

function readJson(path) {
  return existsSync(path) ? JSON.parse(readFileSync(path, "utf8")) : undefined;
}
