import type { RowRange } from "../model/files/checkpoint.ts";
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

  readTensor(role: ModelTensorRole, rows?: RowRange): Float32Array {
    const shapes = modelTensorShapes({ ...this.config, tiedEmbeddings: false });
    const length = rows && (rows.end - rows.start) * this.config.hiddenSize;
    return random(length ?? tensorLength(shapes[role]!));
  }

  readLayerTensor(layer: number, role: LayerTensorRole, rows?: RowRange): Float32Array {
    const [height, ...width] = layerTensorShapes(this.config, layer)[role]!;
    return random((rows ? rows.end - rows.start : height!) * tensorLength(width));
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
