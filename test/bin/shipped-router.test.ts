import { readdirSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import { builtinRouter } from "../../bin/builtin-router.ts";
import { builtinSource } from "../../bin/router/prompt-source.ts";
import { routerKey, shippedRouter } from "../../bin/router/router-key.ts";
import { namedModels } from "../../model/source/named-models.ts";
import { defaultFalseRejection } from "../../router/fit-clusters.ts";
import { readRouterFile } from "../../router/router-file.ts";

const folder = "router/builtin";
const files = readdirSync(folder);
const recipeOf = (model: string) => ({
  falseRejection: defaultFalseRejection,
  format: "q8" as const,
  model,
});

test("the package's routers were fitted from the prompts of now: else run scripts/bootstrap.mjs ship-router", (t) => {
  const keys = namedModels.map(({ sha256 }) => routerKey(builtinSource(), recipeOf(sha256)));
  t.deepEqual(files.toSorted(), keys.map((key) => `${key}.safetensors`).toSorted());
});

for (const { name, sha256 } of namedModels) {
  test(`${name}: its router is there at once, and for no other model`, async (t) => {
    const { signal } = new AbortController();
    const options = { modelPath: "/nowhere", cacheDir: undefined, weights: "q8", signal } as const;
    const path = await builtinRouter.file({ ...options, contentHash: sha256 });
    const router = readRouterFile(path, sha256);
    t.is(router.model, sha256);
    t.deepEqual(router.tasks, builtinRouter.tasks);
    t.is(path, join(process.cwd(), folder, path.split("/").at(-1)!));
    const recipe = recipeOf(sha256);
    t.is(shippedRouter(routerKey(builtinSource(), { ...recipe, model: "another" })), null);
    t.is(shippedRouter(routerKey(builtinSource(), { ...recipe, format: "q4" as const })), null);
  });
}
