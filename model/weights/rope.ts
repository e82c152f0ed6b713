import type { RotaryAngles } from "./config.ts";

/** Plain rotary frequencies: `theta ** (-2i / size)`. @param size values that are turned: twice the frequencies */
export function plainRopeFrequencies(size: number, theta: number): Float32Array {
  return Float32Array.from({ length: size / 2 }, (_, i) => theta ** ((-2 * i) / size));
}

/** Frequencies by themselves: cosines and sines as they are. */
export function plainAngles(frequencies: Float32Array): RotaryAngles {
  return { frequencies, magnitude: 1 };
}

/** What a model says of the scaling of Llama 3.1. */
export interface Llama3Scaling {
  readonly factor: number;
  readonly low_freq_factor: number;
  readonly high_freq_factor: number;
  readonly original_max_position_embeddings: number;
}

/**
 * Slows down long waves by `factor`, leaves short ones alone and blends in between, as
 * `_compute_llama3_parameters` of Hugging Face transformers does.
 */
export function scaleLlama3(frequencies: Float32Array, scaling: Llama3Scaling): Float32Array {
  const { factor, low_freq_factor: low, high_freq_factor: high } = scaling;
  return frequencies.map((frequency) => {
    const wavesInContext = (scaling.original_max_position_embeddings * frequency) / (2 * Math.PI);
    if (wavesInContext < low) return frequency / factor;
    if (wavesInContext > high) return frequency;
    const share = (wavesInContext - low) / (high - low);
    return ((1 - share) * frequency) / factor + share * frequency;
  });
}

/**
 * What LongRoPE multiplies cosines and sines by, as `_compute_longrope_parameters` of Hugging Face transformers has it.
 * @param contextLength that the model was extended to
 * @param originalLength that it was trained for first
 */
export function longRopeMagnitude(contextLength: number, originalLength: number): number {
  const factor = contextLength / originalLength;
  return factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(originalLength));
}
