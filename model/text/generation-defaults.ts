import { z } from "zod";
import { ModelLoadError } from "../errors.ts";
import type { TokenizerSource } from "./tokenizer-source.ts";

/** How the makers of a model would have its tokens drawn; what their files do not say is absent. */
export interface GenerationDefaults {
  /** 0 for the most likely token. */
  readonly temperature?: number;
  readonly topP?: number;
  /** 0 for all tokens. */
  readonly topK?: number;
  readonly minP?: number;
  /** 1 for none. */
  readonly repetitionPenalty?: number;
}

const ranges = {
  temperature: z.number().min(0),
  topP: z.number().min(0).max(1),
  topK: z.int().min(-1),
  minP: z.number().min(0).max(1),
  repetitionPenalty: z.number().positive().max(10),
} satisfies Record<keyof GenerationDefaults, z.ZodType<number>>;

type Keys = Readonly<Record<keyof GenerationDefaults, string>>;

/** Of generation_config.json. */
const huggingFaceKeys: Keys = {
  temperature: "temperature",
  topP: "top_p",
  topK: "top_k",
  minP: "min_p",
  repetitionPenalty: "repetition_penalty",
};

/** Of llama.cpp. */
const ggufKeys: Keys = {
  temperature: "general.sampling.temp",
  topP: "general.sampling.top_p",
  topK: "general.sampling.top_k",
  minP: "general.sampling.min_p",
  repetitionPenalty: "general.sampling.penalty_repeat",
};

/** @throws ModelLoadError when a value is none that tokens can be drawn by. */
export function readGenerationDefaults(source: TokenizerSource): GenerationDefaults {
  if (source.kind === "gguf") return readValues(source.path, source.metadata, ggufKeys);
  const { path, generationConfig } = source;
  if (generationConfig === null) return {};
  const defaults = readValues(path, generationConfig, huggingFaceKeys);
  return generationConfig["do_sample"] === false ? { ...defaults, temperature: 0 } : defaults;
}

function readValues(
  path: string,
  values: Readonly<Record<string, unknown>>,
  keys: Keys,
): GenerationDefaults {
  const entries = Object.entries(keys).flatMap(([name, key]) => {
    const value = toNumber(values[key]);
    if (value == null) return [];
    const result = ranges[name as keyof Keys].safeParse(value);
    if (result.success) return [[name, result.data] as const];
    const found = JSON.stringify(value);
    throw new ModelLoadError(
      path,
      `the generation default ${key} is ${found}: ${result.error.issues[0]!.message}`,
    );
  });
  return Object.fromEntries(entries);
}

/** A GGUF file has 32-bit floats, whose seven digits are what was meant. */
function toNumber(value: unknown): unknown {
  if (typeof value === "bigint") return Number(value);
  return typeof value === "number" ? Number(value.toPrecision(7)) : value;
}
