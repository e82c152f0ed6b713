import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ExecutionContext } from "ava";

/** A new empty folder that is removed after the test. */
export function tempDir(t: ExecutionContext): string {
  const path = mkdtempSync(join(tmpdir(), "seap-test-"));
  t.teardown(() => rmSync(path, { recursive: true, force: true }));
  return path;
}
