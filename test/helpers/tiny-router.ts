import { writeFileSync } from "node:fs";
import { openModel } from "../../model/weights/open-model.ts";
import { numTrunkFeatures } from "../../router/features.ts";
import { fitClusterRouter } from "../../router/fit-clusters.ts";
import { routerFile } from "../../router/router-file.ts";
import { centerAt, rowsAround } from "./feature-groups.ts";

/** Writes a router of a model file that was fitted to made-up features: where it sends a prompt means nothing. */
export async function writeTinyRouter(
  path: string,
  modelPath: string,
  tasks: readonly string[],
): Promise<void> {
  const { weights } = await openModel(modelPath);
  weights.close();
  const numFeatures = numTrunkFeatures(weights.config.hiddenSize);
  const rows = tasks.map((task, index) => {
    const center = centerAt(index, 8, numFeatures);
    return [task, rowsAround(center, 40, { seed: index + 1 })] as const;
  });
  const background = new Map<string, Float32Array[]>();
  const fitted = fitClusterRouter(
    { tasks: new Map(rows), background },
    { model: weights.contentHash },
  );
  writeFileSync(path, Buffer.concat(routerFile(fitted)));
}
