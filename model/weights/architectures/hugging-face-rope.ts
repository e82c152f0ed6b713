import { z } from "zod";
import { ModelLoadError } from "../../errors.ts";
import { describeIssues } from "../../files/json-file.ts";
import type { RotaryAngles } from "../config.ts";
import { longRopeMagnitude, plainAngles, plainRopeFrequencies, scaleLlama3 } from "../rope.ts";

export const defaultRopeTheta = 10_000;

const llama3Schema = z.looseObject({
  factor: z.number().positive(),
  low_freq_factor: z.number().positive(),
  high_freq_factor: z.number().positive(),
  original_max_position_embeddings: z.int().positive(),
});

const linearSchema = z.looseObject({ factor: z.number().positive() });

const factors = z.array(z.number().positive());

const longRopeSchema = z.looseObject({
  short_factor: factors,
  long_factor: factors,
  original_max_position_embeddings: z.int().positive().optional(),
  attention_factor: z.number().positive().nullish(),
});

const ropeSchema = z.looseObject({
  rope_type: z.string().optional(),
  /** The name of `rope_type` in older files. */
  type: z.string().optional(),
  rope_theta: z.number().positive().optional(),
  partial_rotary_factor: z.number().positive().max(1).optional(),
});

export type RopeFields = z.infer<typeof ropeSchema>;

/** The fields of `config.json` that say how a model turns by position. */
export const huggingFaceRopeFields = {
  rope_theta: z.number().positive().nullish(),
  partial_rotary_factor: z.number().positive().max(1).nullish(),
  original_max_position_embeddings: z.int().positive().nullish(),
  rope_scaling: ropeSchema.nullish(),
  /** Takes the place of the others since transformers 5; of some models it has one for each type of layer. */
  rope_parameters: z.union([ropeSchema, z.record(z.string(), ropeSchema)]).nullish(),
};

type Fields = {
  readonly [Key in keyof typeof huggingFaceRopeFields]: z.infer<
    (typeof huggingFaceRopeFields)[Key]
  >;
};

export interface RopeSize {
  /** Values of a head that are turned. */
  readonly rotarySize: number;
  /** The longest text that the model was trained for. */
  readonly trainedLength: number;
  /** The longest text that it is to read. */
  readonly contextLength: number;
}

/** What a `config.json` says of the rotary embedding of layers that see all positions, in one place. */
export function ropeFields(config: Partial<Fields>): RopeFields {
  const { rope_theta: theta, partial_rotary_factor: share, rope_parameters: parameters } = config;
  const original = config.original_max_position_embeddings;
  return {
    ...(theta != null && { rope_theta: theta }),
    ...(share != null && { partial_rotary_factor: share }),
    ...config.rope_scaling,
    ...((parameters?.["full_attention"] ?? parameters) as RopeFields | null | undefined),
    ...(original != null && { original_max_position_embeddings: original }),
  };
}

/**
 * Plain, or scaled linearly, as in Llama 3.1, or by LongRoPE. Of that one table is used for all texts, so that a longer
 * answer does not change what was computed before: the one for long texts where longer ones are to be read than the
 * model was trained for first.
 * @throws ModelLoadError for any other rope type
 */
export function huggingFaceAngles(path: string, rope: RopeFields, size: RopeSize): RotaryAngles {
  const { rotarySize } = size;
  const frequencies = plainRopeFrequencies(rotarySize, rope.rope_theta ?? defaultRopeTheta);
  const type = rope.rope_type ?? rope.type ?? "default";
  switch (type) {
    case "default":
      return plainAngles(frequencies);
    case "linear": {
      const { factor } = parseScaling(path, linearSchema, rope);
      return plainAngles(frequencies.map((frequency) => frequency / factor));
    }
    case "llama3":
      return plainAngles(scaleLlama3(frequencies, parseScaling(path, llama3Schema, rope)));
    case "longrope":
    case "su": {
      const scaling = parseScaling(path, longRopeSchema, rope);
      const original = scaling.original_max_position_embeddings ?? size.trainedLength;
      const name = size.contextLength > original ? "long_factor" : "short_factor";
      const divisors = scaling[name];
      if (divisors.length !== frequencies.length) {
        throw new ModelLoadError(
          path,
          `config.json: rope scaling: ${name} has ${divisors.length} numbers, ` +
            `expected ${frequencies.length}`,
        );
      }
      return {
        frequencies: frequencies.map((frequency, i) => frequency / divisors[i]!),
        magnitude: scaling.attention_factor ?? longRopeMagnitude(size.trainedLength, original),
      };
    }
    default:
      throw new ModelLoadError(
        path,
        `config.json: the rope type is ${JSON.stringify(type)}, ` +
          `expected "default", "linear", "llama3" or "longrope"`,
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
