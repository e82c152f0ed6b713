import type { ScoreOptions, ScoreStep } from "../contract/score-step.ts";
import type { Tokens } from "../contract/tokens.ts";
import type { ChunkRunner } from "./chunk-runner.ts";
import type { SequenceStates } from "./sequence-states.ts";

/**
 * One step over a text that is there already, to see what the model thinks of it: a chunk of the trunk, or one of
 * middle and head.
 * @throws InferenceError
 */
export async function scoreStep(
  chunks: ChunkRunner,
  states: SequenceStates,
  sequence: Tokens,
  { middle, chunk, from }: ScoreOptions,
): Promise<ScoreStep> {
  const state = states.get(sequence) ?? (await chunks.open(sequence, chunk));
  if (state.numInTrunk < sequence.numTokens) {
    await chunks.trunk(sequence, state, chunk);
    return { kind: "trunk" };
  }
  if (state.numInHead === sequence.numTokens) return { kind: "end" };
  if (state.middle === null) await chunks.setMiddle(state, middle);
  while (state.numStages < state.middle!.stages.length) await chunks.middle(state);
  const first = Math.max(0, from - state.numInHead);
  const numRows = Math.max(0, state.chunks[0]!.numRows - first);
  const rows = Array.from({ length: numRows }, (_, i) => first + i);
  return { kind: "logits", logits: await chunks.head(state, rows) };
}
