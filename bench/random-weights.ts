import type {
  LayerTensorRole,
  ModelConfig,
  ModelTensorRole,
  ModelWeights,
} from "../model/weights/config.ts";

/** Values that no two layers need to differ in: only shapes matter to speed. */
export class RandomWeights implements ModelWeights {
  readonly config: ModelConfig;
  readonly contentHash = "random";

  constructor(config: ModelConfig) {
    this.config = config;
  }

  readTensor(role: ModelTensorRole): Float32Array {
    const { hiddenSize, vocabSize } = this.config;
    return random(role === "finalNorm" ? hiddenSize : hiddenSize * vocabSize);
  }

  readLayerTensor(_layer: number, role: LayerTensorRole): Float32Array {
    const { hiddenSize, numHeads, numKvHeads, headDim, intermediateSize } = this.config;
    switch (role) {
      case "attentionNorm":
      case "mlpNorm":
        return random(hiddenSize);
      case "query":
      case "output":
        return random(hiddenSize * numHeads * headDim);
      case "key":
      case "value":
        return random(hiddenSize * numKvHeads * headDim);
      case "gate":
      case "up":
      case "down":
        return random(hiddenSize * intermediateSize);
    }
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
