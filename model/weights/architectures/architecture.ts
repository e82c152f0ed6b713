import type { LayerTensorRole, ModelConfig, ModelTensorRole } from "../config.ts";
import type { GgufCheckpoint } from "../../files/gguf.ts";
import type { SafetensorsCheckpoint } from "../../files/safetensors.ts";

/** What a file calls the tensors of an architecture. */
export interface TensorNames {
  readonly model: Readonly<Record<ModelTensorRole, string>>;
  readonly layer: (layer: number) => Readonly<Record<LayerTensorRole, string>>;
  /** Names of tensors that may be there and carry no weights. */
  readonly ignored: RegExp;
}

/** One family of models: how its files describe it. */
export interface Architecture {
  /** `architectures[0]` in `config.json`. */
  readonly huggingFaceClasses: readonly string[];
  /** `model_type` in `config.json`, for files that do not name a class. */
  readonly huggingFaceModelTypes: readonly string[];
  /** @throws ModelLoadError when the metadata are incomplete or ask for what is not supported. */
  readonly configFromGguf: (checkpoint: GgufCheckpoint) => ModelConfig;
  /** @throws ModelLoadError when the configuration is incomplete or asks for what is not supported. */
  readonly configFromHuggingFace: (checkpoint: SafetensorsCheckpoint) => ModelConfig;
  readonly ggufTensors: TensorNames;
  readonly huggingFaceTensors: TensorNames;
}
