import { readdirSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import { builtinRouter } from "../../bin/builtin-router.ts";
import { builtinSource } from "../../bin/router/prompt-source.ts";
import { routerKey, shippedRouter } from "../../bin/router/router-key.ts";
import { defaultFalseRejection } from "../../router/fit-clusters.ts";
import { readRouterFile } from "../../router/router-file.ts";

const folder = "router/builtin";
const files = readdirSync(folder);
const router = readRouterFile(join(folder, files[0]!), null);
const recipe = { falseRejection: defaultFalseRejection, format: "q8", model: router.model! };

test("the package's router was fitted from the prompts of now: else run scripts/bootstrap.mjs ship-router", (t) => {
  t.deepEqual(files, [`${routerKey(builtinSource(), recipe)}.safetensors`]);
  t.deepEqual(router.tasks, builtinRouter.tasks);
});

test("it is there at once for its model, and for no other one", async (t) => {
  const { signal } = new AbortController();
  const options = { modelPath: "/nowhere", cacheDir: undefined, weights: "q8", signal } as const;
  const path = await builtinRouter.file({ ...options, contentHash: router.model! });
  t.deepEqual(readRouterFile(path, router.model), router);
  t.is(shippedRouter(routerKey(builtinSource(), { ...recipe, model: "another" })), null);
  t.is(shippedRouter(routerKey(builtinSource(), { ...recipe, format: "q4" })), null);
});
