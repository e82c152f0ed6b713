import type { WeightFormat } from "../../model/weights/quantize.ts";
import { ArtifactError } from "../../model/errors.ts";
import type { ClusterRouter } from "../../router/cluster-router.ts";
import { fitClusterRouter, fitVersion } from "../../router/fit-clusters.ts";
import { routerFile, readRouterFile } from "../../router/router-file.ts";
import type { Router } from "../../router/router.ts";
import type { TrainingSet } from "../../router/training-set.ts";
import type { PromptSource } from "./prompt-source.ts";
import { routerKey, shippedRouter } from "./router-key.ts";
import type { RouterRun } from "./router-run.ts";

const routerFileName = "router.safetensors";

export interface FittedRouter {
  readonly router: Router;
  /** Key of its artifact. */
  readonly key: string;
  /** Where its file lies. */
  readonly path: string;
  /** False when it came with the package or was in the cache folder. */
  readonly isNew: boolean;
}

/** The router of some prompts, from the package, the cache folder or else fitted now. @throws SeapError */
export async function fittedRouter(
  run: RouterRun,
  source: PromptSource,
  recipe: { readonly falseRejection: number; readonly weights: WeightFormat },
): Promise<FittedRouter> {
  const { store, weights } = run.session;
  const model = weights.contentHash;
  const { falseRejection, weights: format } = recipe;
  const key = routerKey(source, { falseRejection, format, model });
  const shipped = shippedRouter(key);
  if (shipped !== null) {
    return { router: readRouterFile(shipped, model), key, path: shipped, isNew: false };
  }
  try {
    const artifact = await store.read(key);
    if (artifact !== null) {
      const path = artifact.path(routerFileName);
      return { router: readRouterFile(path, model), key, path, isNew: false };
    }
  } catch (error) {
    if (!(error instanceof ArtifactError)) throw error;
    run.bar.line(`${error.message}: fitting the router again`);
    await store.remove(key);
  }
  const set = await trainingSet(run, source);
  const router: ClusterRouter = fitClusterRouter(set, { model, falseRejection });
  const files = [[routerFileName, routerFile(router)] as const];
  const artifact = await store.write(key, { version: fitVersion, tasks: router.tasks }, files);
  return { router, key, path: artifact.path(routerFileName), isNew: true };
}

async function trainingSet(run: RouterRun, source: PromptSource): Promise<TrainingSet> {
  const featuresOf = async (groups: PromptSource["tasks"]) => {
    const features = new Map<string, readonly Float32Array[]>();
    for (const [name, conversations] of groups) {
      features.set(name, await run.features(`reading ${name}`, conversations));
    }
    return features;
  };
  return {
    tasks: await featuresOf(source.tasks),
    background: await featuresOf(source.background),
  };
}
