import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";

export interface OpsSetting<Tools> {
  /** For all tests of the file. */
  readonly folder: string;
  /** Undefined, and a line about it, where the programs cannot be had: the test then ends. */
  readonly toolsOrSkip: (t: ExecutionContext) => Tools | undefined;
}

/**
 * What tests with programs of others need. To be called once, at the top of their file.
 * @param find - gives the programs, or says why there are none
 */
export function setUpOps<Tools extends object>(
  find: () => Promise<Tools | string>,
): OpsSetting<Tools> {
  const folder = mkdtempSync(join(tmpdir(), "seap-ops-"));
  let tools: Tools | string;
  test.before(async (t) => {
    t.timeout(240_000);
    tools = await find();
  });
  test.after.always(() => rmSync(folder, { recursive: true }));
  return {
    folder,
    toolsOrSkip: (t) => {
      if (typeof tools !== "string") return tools;
      skip(t, tools);
      return undefined;
    },
  };
}

/** Passes, and says so: what the test needs is not there. */
export function skip(t: ExecutionContext, why: string): void {
  t.log(`SKIPPED, nothing was checked. ${why}`);
  t.pass();
}
