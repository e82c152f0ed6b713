import { readFileSync } from "node:fs";
import { type WritableMetadata, writeGguf } from "./gguf-writer.ts";
import { ggufMetadata, ggufTensors } from "./stored-model.ts";
import { tinyModel } from "./tiny-model.ts";
import type { TinyModelOptions } from "./tiny-model.ts";

interface ByteLevelFixture {
  readonly tokens: readonly string[];
  readonly merges: readonly (readonly [string, string])[];
}

const tokenType = { normal: 1, control: 3 };

/**
 * Writes a complete model file: random weights, a small byte-level vocabulary and the tokens of ChatML.
 * What it says is noise, but the same noise every time, and it seldom ends an answer by itself.
 */
export function writeTinyGguf(
  path: string,
  options: TinyModelOptions = {},
  moreMetadata: WritableMetadata = {},
): void {
  const { tokens, merges } = JSON.parse(
    readFileSync("test/fixtures/tokenizer-byte-level.json", "utf8"),
  ) as ByteLevelFixture;
  const vocabulary = [...tokens, "<|im_start|>", "<|im_end|>"];
  const weights = tinyModel({
    ...options,
    vocabSize: vocabulary.length,
    contextLength: 32_768,
  });
  const metadata = {
    ...ggufMetadata(weights),
    ...moreMetadata,
    "general.name": "tiny",
    "tokenizer.ggml.model": "gpt2",
    "tokenizer.ggml.pre": "smollm",
    "tokenizer.ggml.tokens": vocabulary,
    "tokenizer.ggml.token_type": vocabulary.map((_, id) =>
      id === 0 || id >= tokens.length ? tokenType.control : tokenType.normal,
    ),
    "tokenizer.ggml.merges": merges.map((merge) => merge.join(" ")),
    "tokenizer.ggml.bos_token_id": 0,
    "tokenizer.ggml.eos_token_id": vocabulary.length - 1,
  };
  writeGguf(path, metadata, ggufTensors(weights));
}
