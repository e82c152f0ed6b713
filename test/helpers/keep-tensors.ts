import type { ModelWeights } from "../../model/weights/config.ts";

/** Keeps every tensor in memory once it was read: for several passes over a model of a file. */
export function keepTensors(weights: ModelWeights): ModelWeights {
  const kept = new Map<string, Float32Array>();
  const keep = (key: string, read: () => Float32Array): Float32Array => {
    const tensor = kept.get(key) ?? read();
    kept.set(key, tensor);
    return tensor;
  };
  return {
    config: weights.config,
    contentHash: weights.contentHash,
    readTensor: (role, rows) => {
      const source = role === "lmHead" && weights.config.tiedEmbeddings ? "embedding" : role;
      const whole = keep(source, () => weights.readTensor(source));
      const columns = weights.config.hiddenSize;
      return rows ? whole.subarray(rows.start * columns, rows.end * columns) : whole;
    },
    readLayerTensor: (layer, role, rows) =>
      rows
        ? weights.readLayerTensor(layer, role, rows)
        : keep(`${layer} ${role}`, () => weights.readLayerTensor(layer, role)),
    readLayerBias: (layer, role) => weights.readLayerBias(layer, role),
    close: () => {
      kept.clear();
      weights.close();
    },
  };
}
