import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { formatIdentity } from "../../model/weights/quantize.ts";
import type { WeightFormat } from "../../model/weights/quantize.ts";
import { fitVersion } from "../../router/fit-clusters.ts";
import type { PromptSource } from "./prompt-source.ts";
import type { Conversation } from "./routed-prompt.ts";
import { featuresVersion } from "./router-run.ts";

/** From dist/bin/router/ as compiled; the files are not copied there. */
const shippedFolder = new URL("../../../router/builtin/", import.meta.url);

export interface RouterRecipe {
  readonly falseRejection: number;
  /** Of the weights, such as q8. */
  readonly format: WeightFormat;
  /** Content hash. */
  readonly model: string;
}

/** Name of the router that comes of these prompts: another one whenever the router would be another. */
export function routerKey(
  source: PromptSource,
  { falseRejection, format, model }: RouterRecipe,
): string {
  const sorted = (groups: ReadonlyMap<string, readonly Conversation[]>) =>
    [...groups].sort(([a], [b]) => (a < b ? -1 : 1));
  const content = [
    { falseRejection, format: formatIdentity(format), model, fitVersion, featuresVersion },
    sorted(source.tasks),
    sorted(source.background),
  ];
  const hash = createHash("sha256").update(JSON.stringify(content)).digest("hex");
  return `router-${hash.slice(0, 32)}`;
}

/** File of a router that comes with the package; null where it does not. */
export function shippedRouter(key: string): string | null {
  const path = fileURLToPath(new URL(`${key}.safetensors`, shippedFolder));
  return existsSync(path) ? path : null;
}
