import { z } from "zod";
import { ArtifactError } from "../../model/errors.ts";
import type { SafetensorsFile } from "../../model/files/safetensors.ts";
import { safetensorsChunks } from "../../model/files/safetensors-writer.ts";
import type { WritableTensor } from "../../model/files/safetensors-writer.ts";
import { ModuleStatistics } from "./statistics.ts";
import type { LayerStatistics } from "./statistics.ts";

const moduleNames = ["attention", "mlp"] as const;

/** A layer's statistics as a safetensors file: 32-bit floats; counts and weights in its metadata. */
export function encodeLayerStatistics(layer: LayerStatistics): Iterable<Uint8Array> {
  const tensors: WritableTensor[] = [];
  const metadata: Record<string, string> = {};
  for (const name of moduleNames) {
    const { size, count, mean, squaredDeviations, comoment } = layer[name];
    const add = (field: string, values: Float64Array): void => {
      const data = Float32Array.from(values);
      tensors.push({ name: `${name}.${field}`, shape: [values.length], data });
    };
    metadata[`${name}.count`] = String(count);
    metadata[`${name}.size`] = String(size);
    add("mean", mean);
    add("squared_deviations", squaredDeviations);
    if (comoment === null) continue;
    metadata[`${name}.comoment.weight`] = String(comoment.weight);
    add("comoment.mean", comoment.mean);
    add("comoment.matrix", comoment.matrix);
  }
  return safetensorsChunks(tensors, metadata);
}

const numberText = z.coerce.number().nonnegative();

/**
 * The inverse of {@link encodeLayerStatistics}.
 * @param path of the file, for messages
 * @throws ArtifactError when the file is of another form, ModelLoadError when it cannot be read.
 */
export function decodeLayerStatistics(path: string, file: SafetensorsFile): LayerStatistics {
  const module = (name: string): ModuleStatistics => {
    const read = (field: string): Float64Array =>
      Float64Array.from(file.readTensor(`${name}.${field}`));
    const number = (field: string): number => {
      const parsed = numberText.safeParse(file.metadata[`${name}.${field}`]);
      if (parsed.success) return parsed.data;
      throw new ArtifactError(path, `metadata: ${name}.${field} is not a number of at least 0`);
    };
    const hasComoment = file.tensorNames.includes(`${name}.comoment.matrix`);
    return new ModuleStatistics({
      count: number("count"),
      mean: read("mean"),
      squaredDeviations: read("squared_deviations"),
      comoment: hasComoment
        ? {
            weight: number("comoment.weight"),
            mean: read("comoment.mean"),
            matrix: read("comoment.matrix"),
          }
        : null,
    });
  };
  return { attention: module("attention"), mlp: module("mlp") };
}
