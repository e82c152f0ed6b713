import test from "ava";
import { builtinRouter } from "../../bin/builtin-router.ts";
import { RouterError } from "../../router/errors.ts";
import { tempDir } from "../helpers/temp-dir.ts";

// That a router comes out of it is tested with the whole server, in e2e/serve-process.

test("what the fitting says of a failure is passed on", async (t) => {
  const { signal } = new AbortController();
  const options = {
    modelPath: "/nowhere/model.gguf",
    contentHash: "of no model",
    weights: "q8",
    cacheDir: tempDir(t),
  } as const;
  await t.throwsAsync(builtinRouter.file({ ...options, signal }), {
    instanceOf: RouterError,
    message:
      /^seap router fit failed: status 1: seap router: .*\/nowhere\/model\.gguf.*no such file/,
  });
});

test("its tasks are known before it is fitted", (t) => {
  t.true(builtinRouter.tasks.includes("math"));
  t.deepEqual([...builtinRouter.tasks].sort(), builtinRouter.tasks);
});
