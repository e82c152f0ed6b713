import type { ModelConfig } from "../config.ts";
import type { GgufCheckpoint } from "../../files/gguf.ts";
import type { SafetensorsCheckpoint } from "../../files/safetensors.ts";
import type { TensorNames } from "../tensor-names.ts";

export interface ReadOptions {
  /**
   * The longest text that is to be read, where models turn by position otherwise for long ones.
   * @default what the model was trained for
   */
  readonly contextLength?: number;
}

/** How one kind of file spells an architecture. */
export interface FileSpelling<Checkpoint> {
  /** @throws ModelLoadError when the file says too little or asks for what is not supported. */
  readonly config: (checkpoint: Checkpoint, options: ReadOptions) => ModelConfig;
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
