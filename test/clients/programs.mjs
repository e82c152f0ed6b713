import { execFile } from "node:child_process";
import { dirname, join } from "node:path";
import { promisify } from "node:util";

const exec = promisify(execFile);

/** A folder for the run, removed at its end. */
export const temporary = process.env.SEAP_TEST_TEMP;

/**
 * Runs a program that a Python package brings, without the model hub, where it may leave files behind.
 *
 * @returns what it printed
 * @throws with the end of what it printed, when it fails
 */
export function runPython(name, args, env = {}) {
  const command = join(dirname(process.env.SEAP_TEST_PYTHON), name);
  const hub = { HF_HUB_OFFLINE: "1", HF_HOME: join(temporary, "hub") };
  return runQuietly(command, args, { cwd: temporary, env: { ...hub, ...env } });
}

/** As `runPython`, any program. */
export async function runQuietly(command, args, { cwd, env } = {}) {
  try {
    const options = { cwd, env: { ...process.env, ...env }, maxBuffer: 2 ** 26 };
    const { stdout } = await exec(command, args, options);
    return stdout;
  } catch (error) {
    const { stdout = "", stderr = "" } = error;
    const end = `${stdout}\n${stderr}`.slice(-8000);
    throw new Error(`${command} ended with ${error.signal ?? `status ${error.code}`}:\n${end}`);
  }
}
