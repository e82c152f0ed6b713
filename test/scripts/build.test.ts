import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { loadScript } from "./load-script.ts";

const { findSources, outputOf, removeOrphans } = await loadScript<{
  findSources: (root: string, include: string[]) => string[];
  outputOf: (source: string) => string;
  removeOrphans: (root: string, sources: string[]) => void;
}>("build.mjs");

function makeTree(t: ExecutionContext, paths: string[]): string {
  const root = mkdtempSync(join(tmpdir(), "seap tree "));
  t.teardown(() => {
    rmSync(root, { recursive: true });
  });
  for (const path of paths) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), "");
  }
  return root;
}

test("sources are the .ts files of the included folders, in all depths unless the pattern is flat", (t) => {
  const root = makeTree(t, [
    "model/b.ts",
    "model/deep/a.ts",
    "model/types.d.ts",
    "model/notes.md",
    "bench/main.ts",
    "bench/llama/main.ts",
    "other/c.ts",
  ]);
  t.deepEqual(findSources(root, ["model", "bench/*.ts", "absent"]), [
    "bench/main.ts",
    "model/b.ts",
    "model/deep/a.ts",
  ]);
});

test("an include pattern of another kind is refused", (t) => {
  t.throws(() => findSources(".", ["**/*.ts"]), {
    message: /expected a folder or folder\/\*\.ts.*got \*\*/,
  });
});

test("compiled files whose source is gone are removed, all else in dist stays", (t) => {
  const sources = ["model/a.ts"];
  const kept = ["dist/model/a.js", "dist/model/a.js.map", "dist/.tsbuildinfo", "dist/data.json"];
  const orphans = ["dist/test/gone.test.js", "dist/test/gone.test.js.map"];
  const root = makeTree(t, [...kept, ...orphans]);

  removeOrphans(root, sources);

  t.is(outputOf("model/a.ts"), "dist/model/a.js");
  t.deepEqual(
    kept.filter((path) => !existsSync(join(root, path))),
    [],
  );
  t.deepEqual(
    orphans.filter((path) => existsSync(join(root, path))),
    [],
  );
});
