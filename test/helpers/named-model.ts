import { join } from "node:path";
import type { ExecutionContext } from "ava";
import { ModelLoadError } from "../../model/errors.ts";
import { defaultCacheDir } from "../../model/files/file-cache.ts";
import { defaultModel, findNamedModel } from "../../model/source/named-models.ts";
import { resolveModel } from "../../model/source/source.ts";

/** Set by `npm run test:models`: models that are not in the cache are fetched, and what takes minutes is tested. */
export const testsAllModels = process.env["SEAP_TEST_MODELS"] === "1";

/** A named model in the cache folder, which the default one is fetched into; null, after a line, where it is not there. */
export async function namedModelPath(
  t: ExecutionContext,
  name: string,
): Promise<{ path: string; preparedFolder: string } | null> {
  const isFetched = testsAllModels || findNamedModel(name) === defaultModel;
  try {
    const { path } = await resolveModel(name, {
      offline: !isFetched,
      log: (line) => t.log(line),
    });
    return { path, preparedFolder: join(defaultCacheDir(process.env), "prepared") };
  } catch (error) {
    if (!(error instanceof ModelLoadError)) throw error;
    const isSkipped = !isFetched || error.message.includes("--accept-license");
    if (!isSkipped) throw error;
    t.log(`${name} is skipped: ${error.message}`);
    return null;
  }
}
