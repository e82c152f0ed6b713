import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { z } from "zod";
import { ggufArchitecture, huggingFaceArchitecture } from "./architectures.ts";
import type { OpenOptions } from "./checkpoint-weights.ts";
import { openWeights } from "./checkpoint-weights.ts";
import type { ModelWeights } from "./config.ts";
import { ModelLoadError } from "../errors.ts";
import { openGguf } from "../files/gguf.ts";
import { modelNameOf } from "../files/gguf-parts.ts";
import { readJsonFile } from "../files/json-file.ts";
import { locateModel } from "../files/locate-model.ts";
import { openSafetensors } from "../files/safetensors.ts";
import type { TokenizerSource } from "../text/tokenizer-source.ts";

/** A model whose files were checked; the caller closes `weights`. */
export interface OpenedModel {
  /** Name of the file without its extension and the number of its part, or of the folder. */
  readonly name: string;
  readonly weights: ModelWeights;
  readonly tokenizer: TokenizerSource;
}

/**
 * Opens a GGUF file, all parts of one, a folder with one, or one in the layout of Hugging Face transformers; compares its header with its
 * tensors and hashes its content (0.2 s for 100 MB).
 * @throws ModelLoadError when something is missing, damaged, inconsistent or not supported. Nothing
 * stays open then.
 */
export async function openModel(path: string, options: OpenOptions = {}): Promise<OpenedModel> {
  const place = locateModel(path);
  const name = modelNameOf(resolve(path));
  return place.format === "gguf"
    ? openFile(place.path, name, options)
    : openFolder(place.path, name, options);
}

/**
 * What the model at `path` builds its tokenizer and chat template from; its tensors are not looked at.
 * @throws ModelLoadError
 */
export function openTokenizer(path: string): TokenizerSource {
  const place = locateModel(path);
  if (place.format === "safetensors") return readTokenizerFiles(place.path);
  const checkpoint = openGguf(place.path);
  checkpoint.close();
  return { kind: "gguf", path: checkpoint.path, metadata: checkpoint.metadata };
}

async function openFile(file: string, name: string, options: OpenOptions): Promise<OpenedModel> {
  const checkpoint = openGguf(file);
  try {
    const { path, metadata } = checkpoint;
    const architecture = ggufArchitecture(path, metadata["general.architecture"]);
    const weights = await openWeights(checkpoint, architecture.gguf, options);
    return { name, weights, tokenizer: { kind: "gguf", path, metadata } };
  } catch (error) {
    checkpoint.close();
    throw error;
  }
}

async function openFolder(path: string, name: string, options: OpenOptions): Promise<OpenedModel> {
  const tokenizer = readTokenizerFiles(path);
  const checkpoint = openSafetensors(path);
  try {
    const architecture = huggingFaceArchitecture(path, checkpoint.config);
    const weights = await openWeights(checkpoint, architecture.huggingFace, options);
    return { name, weights, tokenizer };
  } catch (error) {
    checkpoint.close();
    throw error;
  }
}

const jsonObject = z.record(z.string(), z.unknown());

const chatTemplateSchema = z
  .union([z.string(), z.array(z.looseObject({ name: z.string(), template: z.string() }))])
  .nullish();

function readTokenizerFiles(folder: string): TokenizerSource {
  const optional = (file: string): Record<string, unknown> | null =>
    existsSync(join(folder, file)) ? readJsonFile(join(folder, file), jsonObject) : null;
  const tokenizerConfig = optional("tokenizer_config.json") ?? {};
  const path = join(folder, "tokenizer.json");
  return {
    kind: "huggingface",
    path,
    tokenizerJson: readJsonFile(path, jsonObject),
    tokenizerConfig,
    generationConfig: optional("generation_config.json"),
    chatTemplate: readChatTemplate(folder, tokenizerConfig),
  };
}

function readChatTemplate(
  folder: string,
  tokenizerConfig: Readonly<Record<string, unknown>>,
): string | null {
  const path = join(folder, "chat_template.jinja");
  if (existsSync(path)) return readFileSync(path, "utf8");
  const parsed = chatTemplateSchema.safeParse(tokenizerConfig["chat_template"]);
  if (!parsed.success) {
    throw new ModelLoadError(
      join(folder, "tokenizer_config.json"),
      "chat_template: expected a string or a list of named templates",
    );
  }
  if (typeof parsed.data === "string") return parsed.data;
  return parsed.data?.find(({ name }) => name === "default")?.template ?? null;
}
