import { ModelLoadError } from "../errors.ts";
import type { Checkpoint } from "../files/checkpoint.ts";
import type { ModelConfig } from "./config.ts";
import { storedTensors } from "./tensor-names.ts";
import type { TensorNames } from "./tensor-names.ts";

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
  for (const { name, shape: expected } of storedTensors(config, names)) {
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
