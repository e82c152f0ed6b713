import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { ModelLoadError } from "../errors.ts";
import { ggufModelsOf } from "./gguf-parts.ts";
import { hasSafetensors } from "./safetensors.ts";

/** Where a model's files are. */
export interface ModelPlace {
  readonly format: "gguf" | "safetensors";
  /** GGUF file, or folder. */
  readonly path: string;
}

/**
 * What there is at a path: a GGUF file, a folder of Hugging Face transformers, or a folder with one GGUF model. Where a
 * folder has both, the safetensors are the model, as for transformers and vLLM.
 * @throws ModelLoadError when there is none, or several
 */
export function locateModel(path: string): ModelPlace {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (!stat) {
    throw new ModelLoadError(path, "does not exist, expected a GGUF file or a model folder");
  }
  if (!stat.isDirectory()) return { format: "gguf", path };
  if (hasSafetensors(path)) return { format: "safetensors", path };
  const models = ggufModelsOf(readdirSync(path).sort());
  const [first] = models;
  if (first && models.length === 1) {
    const given = first.parts.find((part) => existsSync(join(path, part)));
    return { format: "gguf", path: join(path, given!) };
  }
  throw new ModelLoadError(
    path,
    first
      ? `has several GGUF models, expected the path of one of them: ${models.map((model) => model.path).join(", ")}`
      : "has no model: expected model.safetensors with config.json and tokenizer.json, or a GGUF file",
  );
}
