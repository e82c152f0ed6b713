import type {
  BiasRole,
  LayerTensorRole,
  ModelConfig,
  ModelTensorRole,
  ModelWeights,
} from "../model/weights/config.ts";
import {
  layerTensorShapes,
  modelTensorShapes,
  tensorLength,
} from "../model/weights/tensor-shapes.ts";

/** Values that no two layers need to differ in: only shapes matter to speed. */
export class RandomWeights implements ModelWeights {
  readonly config: ModelConfig;
  readonly contentHash = "random";

  constructor(config: ModelConfig) {
    this.config = config;
  }

  readTensor(role: ModelTensorRole): Float32Array {
    const shapes = modelTensorShapes({ ...this.config, tiedEmbeddings: false });
    return random(tensorLength(shapes[role]!));
  }

  readLayerTensor(layer: number, role: LayerTensorRole): Float32Array {
    return random(tensorLength(layerTensorShapes(this.config, layer)[role]!));
  }

  readLayerBias(layer: number, role: BiasRole): Float32Array | null {
    const shape = layerTensorShapes(this.config, layer)[role];
    return shape ? random(tensorLength(shape)) : null;
  }

  close(): void {
    // Nothing is open.
  }
}

/** Uniform between -0.02 and 0.02, the same for the same length. */
function random(length: number): Float32Array {
  const values = new Float32Array(length);
  let state = 1;
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
    values[i] = state * (0.02 / 2 ** 31);
  }
  return values;
}
