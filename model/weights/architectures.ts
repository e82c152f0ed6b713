import type { Architecture, TensorNames } from "./architectures/architecture.ts";
import { llama } from "./architectures/llama.ts";
import type { Checkpoint } from "../files/checkpoint.ts";
import type { LayerTensorRole, ModelConfig, ModelTensorRole } from "./config.ts";
import { ModelLoadError } from "../errors.ts";

/** Supported architectures by their name in GGUF files (`general.architecture`). */
export const architectures: Readonly<Record<string, Architecture>> = {
  llama,
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

/** Expected shape of each layer tensor. */
export function layerTensorShapes(
  config: ModelConfig,
): Readonly<Record<LayerTensorRole, readonly number[]>> {
  const { hiddenSize, intermediateSize } = config;
  const queryWidth = config.numHeads * config.headDim;
  const keyValueWidth = config.numKvHeads * config.headDim;
  return {
    attentionNorm: [hiddenSize],
    query: [queryWidth, hiddenSize],
    key: [keyValueWidth, hiddenSize],
    value: [keyValueWidth, hiddenSize],
    output: [hiddenSize, queryWidth],
    mlpNorm: [hiddenSize],
    gate: [intermediateSize, hiddenSize],
    up: [intermediateSize, hiddenSize],
    down: [hiddenSize, intermediateSize],
  };
}

/** Expected shape of each tensor outside the layers; the head is absent where it is the embedding. */
export function modelTensorShapes(
  config: ModelConfig,
): Readonly<Partial<Record<ModelTensorRole, readonly number[]>>> {
  const matrix = [config.vocabSize, config.hiddenSize];
  return {
    embedding: matrix,
    finalNorm: [config.hiddenSize],
    ...(config.tiedEmbeddings ? {} : { lmHead: matrix }),
  };
}

/**
 * Compares the tensors of a file with what its header promises. Tensors that nobody would read are an
 * error too: they belong to a computation that this architecture does not do.
 * @throws ModelLoadError naming the first tensor that is missing, of another shape, or unknown.
 */
export function checkTensors(
  checkpoint: Checkpoint,
  config: ModelConfig,
  names: TensorNames,
): void {
  const seen = new Set<string>();
  const check = (name: string, expected: readonly number[]): void => {
    const actual = checkpoint.tensorShape(name);
    if (!actual) {
      throw new ModelLoadError(
        checkpoint.path,
        `tensor ${name} is missing, expected with shape [${expected.join(", ")}]`,
      );
    }
    if (actual.length !== expected.length || actual.some((size, i) => size !== expected[i])) {
      throw new ModelLoadError(
        checkpoint.path,
        `tensor ${name} has shape [${actual.join(", ")}], ` +
          `expected [${expected.join(", ")}] by the model's configuration`,
      );
    }
    seen.add(name);
  };
  for (const [role, shape] of Object.entries(modelTensorShapes(config))) {
    check(names.model[role as ModelTensorRole], shape);
  }
  const layerShapes = Object.entries(layerTensorShapes(config));
  for (let layer = 0; layer < config.numLayers; layer++) {
    const layerNames = names.layer(layer);
    for (const [role, shape] of layerShapes) check(layerNames[role as LayerTensorRole], shape);
  }
  // A tied head may be stored all the same.
  if (config.tiedEmbeddings) seen.add(names.model.lmHead);
  for (const name of checkpoint.tensorNames) {
    if (!seen.has(name) && !names.ignored.test(name)) {
      throw new ModelLoadError(
        checkpoint.path,
        `has a tensor ${name}, which a ${config.architecture} model of ${config.numLayers} layers ` +
          `does not use: this variant is not supported`,
      );
    }
  }
}
