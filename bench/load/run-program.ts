import { spawn } from "node:child_process";
import { once } from "node:events";
import { constants, setPriority } from "node:os";

const maxWords = 400;

/**
 * Runs a program to its end with the least priority.
 * @returns undefined, or what went wrong with the end of what the program said
 */
export async function runProgram(
  program: string,
  args: readonly string[],
): Promise<string | undefined> {
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"] });
  let said = "";
  for (const output of [child.stdout, child.stderr]) {
    output.setEncoding("utf8").on("data", (text: string) => {
      said = (said + text).slice(-maxWords);
    });
  }
  try {
    await once(child, "spawn");
    setPriority(child.pid!, constants.priority.PRIORITY_LOW);
    const [code] = (await once(child, "close")) as [number | null];
    return code === 0 ? undefined : `${program} ended with ${code}: ${said.trim()}`;
  } catch (error) {
    return (error as Error).message;
  }
}
