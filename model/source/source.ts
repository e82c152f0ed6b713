import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { defaultModel, findNamedModel, namedModels } from "./named-models.ts";
import { fetchPinnedModel } from "./pinned-model.ts";
import type { PinnedModel } from "./pinned-model.ts";
import { ModelLoadError } from "../errors.ts";
import { defaultCacheDir } from "../files/file-cache.ts";
import { modelNameOf } from "../files/gguf-parts.ts";
import { fetchHubModel } from "./hub.ts";
import type { SourceOptions } from "./source-options.ts";

/** A model file or folder on this machine, ready to be opened. */
export interface ResolvedModel {
  readonly path: string;
  /** How the model is called unless the user says otherwise; `org/name` for models of the hub. */
  readonly name: string;
}

const hubSpec = /^hf:([\w.-]+\/[\w.-]+)(?::(.+))?$/;

/**
 * Finds a model by what the user calls it, downloading it where needed: `default` or another name of `namedModels`, a
 * path, or `hf:org/name[:file]`.
 *
 * `options.cacheDir` defaults to `$SEAP_CACHE_DIR` or `seap-server` in the user's cache folder, `options.env`
 * to the environment of the process, `options.log` to standard error.
 * @throws ModelLoadError when there is no such model or it cannot be fetched.
 */
export async function resolveModel(
  spec: string,
  options: Partial<SourceOptions> = {},
): Promise<ResolvedModel> {
  const fullOptions = sourceOptions(options);
  const named = findNamedModel(spec);
  // A file of that name is what who gives it means.
  if (named && !existsSync(spec)) {
    return { path: await fetchPinnedModel(named, fullOptions), name: modelNameFor(named) };
  }
  if (spec.startsWith("hf:")) {
    const [, repo, file] = hubSpec.exec(spec) ?? [];
    if (!repo) throw new ModelLoadError(spec, "expected hf:org/name or hf:org/name:file");
    return { path: await fetchHubModel(repo, file, fullOptions), name: repo };
  }
  if (!existsSync(spec)) {
    throw new ModelLoadError(
      spec,
      "no such file or folder; expected a GGUF file, a model folder, hf:org/name[:file], default or " +
        `one of ${namedModels.map(({ name }) => name).join(", ")}`,
    );
  }
  return { path: spec, name: modelNameOf(resolve(spec)) };
}

/** Options with their defaults. */
export function sourceOptions(options: Partial<SourceOptions>): SourceOptions {
  const env = options.env ?? process.env;
  return {
    env,
    cacheDir: options.cacheDir ?? defaultCacheDir(env),
    offline: options.offline ?? false,
    acceptedLicenses: [...(options.acceptedLicenses ?? []), ...acceptedBy(env)],
    onProgress: options.onProgress ?? (() => undefined),
    log: options.log ?? ((line) => process.stderr.write(`${line}\n`)),
  };
}

/** Names of models whose licenses an environment says were accepted. */
function acceptedBy(env: NodeJS.ProcessEnv): string[] {
  return (env["SEAP_ACCEPT_LICENSE"] ?? "").split(",").map((name) => name.trim());
}

/** The default model keeps the name that it has always had. */
function modelNameFor(model: PinnedModel): string {
  return model === defaultModel ? model.title : model.name;
}
