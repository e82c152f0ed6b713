import type { ModelConfig } from "../config.ts";
import type { GgufCheckpoint } from "../../files/gguf.ts";
import type { SafetensorsCheckpoint } from "../../files/safetensors.ts";
import type { TensorNames } from "../tensor-names.ts";

/** How one kind of file spells an architecture. */
export interface FileSpelling<Checkpoint> {
  /** @throws ModelLoadError when the file says too little or asks for what is not supported. */
  readonly config: (checkpoint: Checkpoint) => ModelConfig;
  readonly tensors: TensorNames;
}

/** One family of models: how its files describe it. */
export interface Architecture {
  /** `architectures[0]` in `config.json`. */
  readonly huggingFaceClasses: readonly string[];
  /** `model_type` in `config.json`, for files that do not name a class. */
  readonly huggingFaceModelTypes: readonly string[];
  readonly gguf: FileSpelling<GgufCheckpoint>;
  readonly huggingFace: FileSpelling<SafetensorsCheckpoint>;
}
