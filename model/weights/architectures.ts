import type { Architecture } from "./architectures/architecture.ts";
import { gemma3 } from "./architectures/gemma3.ts";
import { llama } from "./architectures/llama.ts";
import { phi3 } from "./architectures/phi3.ts";
import { qwen2, qwen3 } from "./architectures/qwen.ts";
import { ModelLoadError } from "../errors.ts";

/** Supported architectures by their name in GGUF files (`general.architecture`). */
export const architectures: Readonly<Record<string, Architecture>> = {
  llama,
  qwen2,
  qwen3,
  gemma3,
  phi3,
};

/** @throws ModelLoadError when the architecture is unknown. */
export function ggufArchitecture(path: string, name: unknown): Architecture {
  if (typeof name === "string" && Object.hasOwn(architectures, name)) return architectures[name]!;
  throw new ModelLoadError(
    path,
    `general.architecture is ${JSON.stringify(name)}, ` +
      `expected one of ${Object.keys(architectures).join(", ")}`,
  );
}

/** @throws ModelLoadError when the architecture is unknown. */
export function huggingFaceArchitecture(
  path: string,
  config: Readonly<Record<string, unknown>>,
): Architecture {
  const all = Object.values(architectures);
  const className: unknown = Array.isArray(config["architectures"])
    ? config["architectures"][0]
    : undefined;
  const modelType = config["model_type"];
  const found =
    className === undefined
      ? all.find((one) => one.huggingFaceModelTypes.some((type) => type === modelType))
      : all.find((one) => one.huggingFaceClasses.some((name) => name === className));
  if (found) return found;
  throw new ModelLoadError(
    path,
    `config.json: the architecture is ${JSON.stringify(className ?? modelType)}, ` +
      `expected one of ${all.flatMap((one) => one.huggingFaceClasses).join(", ")}`,
  );
}
