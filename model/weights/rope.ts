import { z } from "zod";
import { ModelLoadError } from "../errors.ts";
import type { GgufCheckpoint } from "../files/gguf.ts";
import { describeIssues } from "../files/json-file.ts";

// Rotary angles per position, in radians, one for each pair of values of a head: shape [headDim / 2].

const defaultTheta = 10_000;

/** Plain rotary frequencies: `theta ** (-2i / headDim)`. */
export function plainRopeFrequencies(headDim: number, theta: number): Float32Array {
  return Float32Array.from({ length: headDim / 2 }, (_, i) => theta ** ((-2 * i) / headDim));
}

const llama3Schema = z.looseObject({
  factor: z.number().positive(),
  low_freq_factor: z.number().positive(),
  high_freq_factor: z.number().positive(),
  original_max_position_embeddings: z.int().positive(),
});

/**
 * Slows down long waves by `factor`, leaves short ones alone and blends in between, as
 * `_compute_llama3_parameters` of Hugging Face transformers does.
 */
function scaleLlama3(
  frequencies: Float32Array,
  scaling: z.infer<typeof llama3Schema>,
): Float32Array {
  const { factor, low_freq_factor: low, high_freq_factor: high } = scaling;
  return frequencies.map((frequency) => {
    const wavesInContext = (scaling.original_max_position_embeddings * frequency) / (2 * Math.PI);
    if (wavesInContext < low) return frequency / factor;
    if (wavesInContext > high) return frequency;
    const share = (wavesInContext - low) / (high - low);
    return ((1 - share) * frequency) / factor + share * frequency;
  });
}

const linearSchema = z.looseObject({ factor: z.number().positive() });

const ropeSchema = z.looseObject({
  rope_type: z.string().optional(),
  /** The name of `rope_type` in older files. */
  type: z.string().optional(),
  rope_theta: z.number().positive().optional(),
});

const ropeFieldsSchema = z.object({
  rope_theta: z.number().positive().nullish(),
  rope_scaling: ropeSchema.nullish(),
  /** Takes the place of the other two since transformers 5. */
  rope_parameters: ropeSchema.nullish(),
});

/** The fields of `config.json` that {@link huggingFaceRopeFrequencies} reads. */
export const huggingFaceRopeFields = ropeFieldsSchema.shape;

/**
 * Frequencies by a `config.json`: plain, or scaled linearly or as in Llama 3.1.
 * @throws ModelLoadError for any other rope type.
 */
export function huggingFaceRopeFrequencies(
  path: string,
  config: z.infer<typeof ropeFieldsSchema>,
  headDim: number,
): Float32Array {
  const rope = config.rope_parameters ?? config.rope_scaling ?? {};
  const theta = rope.rope_theta ?? config.rope_theta ?? defaultTheta;
  const frequencies = plainRopeFrequencies(headDim, theta);
  const type = rope.rope_type ?? rope.type ?? "default";
  switch (type) {
    case "default":
      return frequencies;
    case "linear": {
      const { factor } = parseScaling(path, linearSchema, rope);
      return frequencies.map((frequency) => frequency / factor);
    }
    case "llama3":
      return scaleLlama3(frequencies, parseScaling(path, llama3Schema, rope));
    default:
      throw new ModelLoadError(
        path,
        `config.json: the rope type is ${JSON.stringify(type)}, ` +
          `expected "default", "linear" or "llama3"`,
      );
  }
}

function parseScaling<T extends z.ZodType>(path: string, schema: T, value: unknown): z.infer<T> {
  const parsed = schema.safeParse(value);
  if (!parsed.success) {
    throw new ModelLoadError(path, `config.json: rope scaling: ${describeIssues(parsed.error)}`);
  }
  return parsed.data;
}

/** Holds one divisor per frequency: the form that the scaling of Llama 3.1 takes in GGUF files. */
const ggufDivisorsTensor = "rope_freqs.weight";

/**
 * Frequencies by the metadata `<architecture>.rope.*`: plain, divided one by one, or scaled linearly.
 * @throws ModelLoadError for any other kind of scaling.
 */
export function ggufRopeFrequencies(
  checkpoint: GgufCheckpoint,
  architecture: string,
  headDim: number,
): Float32Array {
  const field = <T extends z.ZodType>(name: string, schema: T): z.infer<T> => {
    const key = `${architecture}.rope.${name}`;
    const parsed = schema.safeParse(checkpoint.metadata[key]);
    if (parsed.success) return parsed.data;
    throw new ModelLoadError(checkpoint.path, `metadata: ${key}: ${describeIssues(parsed.error)}`);
  };
  const frequencies = plainRopeFrequencies(
    headDim,
    field("freq_base", z.number().positive().default(defaultTheta)),
  );
  const shape = checkpoint.tensorShape(ggufDivisorsTensor);
  if (shape) {
    if (shape.length !== 1 || shape[0] !== frequencies.length) {
      throw new ModelLoadError(
        checkpoint.path,
        `tensor ${ggufDivisorsTensor} has shape [${shape.join(", ")}], ` +
          `expected [${frequencies.length}]`,
      );
    }
    const divisors = checkpoint.readTensor(ggufDivisorsTensor);
    return frequencies.map((frequency, i) => frequency / divisors[i]!);
  }
  const type = field("scaling.type", z.string().default("none"));
  switch (type) {
    case "none":
      return frequencies;
    case "linear": {
      const factor = field("scaling.factor", z.number().positive());
      return frequencies.map((frequency) => frequency / factor);
    }
    default:
      throw new ModelLoadError(
        checkpoint.path,
        `${architecture}.rope.scaling.type is ${JSON.stringify(type)}, expected "none" or "linear"`,
      );
  }
}
