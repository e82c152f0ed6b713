import type { GenerationDefaults } from "../../model/text/generation-defaults.ts";
import { findNamed } from "../parameters/aliases.ts";

/** A model's defaults under the names that requests have for them. */
export function toWireDefaults(defaults: GenerationDefaults): Readonly<Record<string, number>> {
  const { temperature, topP, topK, minP, repetitionPenalty } = defaults;
  return {
    ...(temperature !== undefined && { temperature }),
    ...(topP !== undefined && { top_p: topP }),
    ...(topK !== undefined && { top_k: topK }),
    ...(minP !== undefined && { min_p: minP }),
    ...(repetitionPenalty !== undefined && { repetition_penalty: repetitionPenalty }),
  };
}

/** A request with the model's defaults where it says nothing itself, under no name. */
export function withDefaults(
  fields: Readonly<Record<string, unknown>>,
  defaults: GenerationDefaults,
): Record<string, unknown> {
  const { repetition_penalty: penalty, ...others } = toWireDefaults(defaults);
  const isGiven = findNamed(fields, "repetition_penalty") !== undefined;
  return {
    ...others,
    ...(penalty !== undefined && !isGiven && { repetition_penalty: penalty }),
    ...fields,
  };
}
