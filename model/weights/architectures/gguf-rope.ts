import { ModelLoadError } from "../../errors.ts";
import type { GgufCheckpoint } from "../../files/gguf.ts";
import type { RotaryAngles } from "../config.ts";
import { plainAngles, plainRopeFrequencies } from "../rope.ts";

/** What the metadata `<architecture>.rope.*` say, with the context that is to be read. */
export interface GgufRope {
  /** The architecture's name, for messages. */
  readonly name: string;
  readonly rotarySize: number;
  readonly theta: number;
  readonly scalingType: string;
  readonly scalingFactor: number | undefined;
  /** Before the model was extended to longer texts. */
  readonly originalLength: number | undefined;
  /** Multiplies cosines and sines. */
  readonly attentionFactor: number | undefined;
  /** The longest text that the model is to read. */
  readonly contextLength: number;
}

/** Divisors of the frequencies: the form that the scaling of Llama 3.1 and LongRoPE take in GGUF files. */
const divisorTensors = {
  all: "rope_freqs.weight",
  short: "rope_factors_short.weight",
  long: "rope_factors_long.weight",
};

/**
 * Plain, divided one by one, or scaled linearly. Where there are divisors for short and for long texts, those for long
 * ones are used if longer ones are to be read than the model was trained for first, as in llama.cpp.
 * @throws ModelLoadError for any other kind of scaling
 */
export function ggufAngles(checkpoint: GgufCheckpoint, rope: GgufRope): RotaryAngles {
  const frequencies = plainRopeFrequencies(rope.rotarySize, rope.theta);
  const isLong = rope.originalLength !== undefined && rope.contextLength > rope.originalLength;
  const divisors =
    readDivisors(checkpoint, divisorTensors.all, frequencies.length) ??
    readDivisors(checkpoint, divisorTensors[isLong ? "long" : "short"], frequencies.length);
  if (divisors) {
    return {
      frequencies: frequencies.map((frequency, i) => frequency / divisors[i]!),
      magnitude: rope.attentionFactor ?? 1,
    };
  }
  const key = `${rope.name}.rope.scaling`;
  switch (rope.scalingType) {
    case "none":
      return plainAngles(frequencies);
    case "linear": {
      const factor = rope.scalingFactor;
      if (factor === undefined) {
        throw new ModelLoadError(checkpoint.path, `metadata: ${key}.factor: expected a number`);
      }
      return plainAngles(frequencies.map((frequency) => frequency / factor));
    }
    default:
      throw new ModelLoadError(
        checkpoint.path,
        `${key}.type is ${JSON.stringify(rope.scalingType)}, expected "none" or "linear"`,
      );
  }
}

function readDivisors(
  checkpoint: GgufCheckpoint,
  name: string,
  numFrequencies: number,
): Float32Array | null {
  const shape = checkpoint.tensorShape(name);
  if (!shape) return null;
  if (shape.length === 1 && shape[0] === numFrequencies) return checkpoint.readTensor(name);
  throw new ModelLoadError(
    checkpoint.path,
    `tensor ${name} has shape [${shape.join(", ")}], expected [${numFrequencies}]`,
  );
}
