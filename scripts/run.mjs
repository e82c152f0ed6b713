import { spawn } from "node:child_process";
import { constants } from "node:os";
import { performance } from "node:perf_hooks";

/** One key press or one stop of a service arrives more than once: by the process group and through npm. */
const sameSignalMs = 500;

const signals = ["SIGINT", "SIGTERM", "SIGHUP"];

/**
 * Runs a program to its end. Signals that reach this process go on to the program, which may drain
 * before it ends.
 *
 * `stdout` is "inherit", "stderr" (what sets up must not write where the command writes) or "capture"
 * (shown as it comes, and returned).
 *
 * @returns `{ code, signal, received, stdout }`: how the program ended (`code` or `signal`), the signal
 * that reached this process meanwhile, and the captured text.
 */
export function run(command, args, { cwd, env, shell = false, stdout = "inherit" } = {}) {
  return new Promise((resolve, reject) => {
    const output = { inherit: "inherit", stderr: 2, capture: "pipe" }[stdout];
    const child = spawn(command, args, { cwd, env, shell, stdio: ["inherit", output, "inherit"] });
    let received = null;
    let receivedMs = -Infinity;
    const forward = (signal) => {
      const again = signal === received && performance.now() - receivedMs < sameSignalMs;
      received = signal;
      receivedMs = performance.now();
      // Ctrl-C in a terminal went to the whole process group, the program included.
      if (again || (signal === "SIGINT" && process.stdin.isTTY)) return;
      child.kill(signal);
    };
    for (const signal of signals) process.on(signal, forward);
    const chunks = [];
    child.stdout?.setEncoding("utf8").on("data", (chunk) => {
      chunks.push(chunk);
      process.stdout.write(chunk);
    });
    child.on("error", reject);
    child.on("close", (code, signal) => {
      for (const signal of signals) process.off(signal, forward);
      resolve({ code, signal, received, stdout: chunks.join("") });
    });
  });
}

/** Goes on only after a program that succeeded and was not interrupted. */
export function exitIfFailed(result) {
  if (result.received !== null) exitLike({ code: null, signal: result.received });
  if (result.code !== 0) exitLike(result);
}

/** Ends this process as a program ended: npm is silent about a signal, but not about an exit code. */
export function exitLike({ code, signal }) {
  if (signal !== null && process.platform !== "win32") process.kill(process.pid, signal);
  process.exit(code ?? 128 + constants.signals[signal]);
}

/** A line about set-up, apart from stdout, which belongs to the command. */
export function progress(message) {
  console.error(`seap: ${message}`);
}

/** @returns a function that says how long ago this was, as `1.2 s`. */
export function stopwatch() {
  const startMs = performance.now();
  return () => `${((performance.now() - startMs) / 1000).toFixed(1)} s`;
}
