import type { StepMeter } from "../contract/step-meter.ts";
import type { Tokens } from "../contract/tokens.ts";
import type { Device, ForwardPass, HiddenStates, PassInput } from "../device/device.ts";
import { DecodeTurns } from "./decode-turns.ts";
import type { DecodeGroup } from "./decode-turns.ts";
import type { Middles } from "./middles.ts";
import type { Drafts } from "../speculation/speculation.ts";
import type { SequenceState, SequenceStates } from "./sequence-states.ts";

export interface DecodeParts {
  readonly device: Device;
  readonly middles: Middles;
  readonly states: SequenceStates;
  readonly meter?: StepMeter | undefined;
  /** Milliseconds on a steady clock. @default one that stands still: every sequence takes part in each step */
  readonly now?: (() => number) | undefined;
}

/** Told of the sequences whose pass through a middle failed. */
export type OnDecodeFailure = (sequences: readonly Tokens[], error: unknown) => void;

/**
 * One token for every sequence whose prefill is through, and those that are guessed to follow it: trunk and head for all in
 * one, the middles by expert.
 */
export class Decode {
  readonly #options: DecodeParts;
  readonly #turns: DecodeTurns;

  constructor(options: DecodeParts) {
    this.#options = options;
    this.#turns = new DecodeTurns(options.now ?? (() => 0));
  }

  /** Room for one more token of each, in KV memory that holds all that the other sequences are going to need as well. */
  async makeRoom(maxBytes: number): Promise<void> {
    const { device, middles, states } = this.#options;
    const kvs = states.decoding().map(([, { kv }]) => kv);
    let othersBytes = 0;
    for (const [{ numTokens }, { isDecoding, middle }] of states.all()) {
      const { path } = middle ?? middles.dense;
      if (!isDecoding) othersBytes += device.kvBytesFor(path, numTokens);
    }
    await device.makeRoom(kvs, maxBytes - othersBytes);
  }

  /** Tokens of a sequence that may be guessed in the next step. */
  draftRoomOf(sequence: Tokens): number {
    const { device, states } = this.#options;
    const state = states.get(sequence);
    return state?.isDecoding ? device.stepwiseRoom(state.kv) - 1 : 0;
  }

  /** Forgets the guesses of the last step that turned out wrong. */
  async takeBack(sequence: Tokens): Promise<void> {
    const { device, states } = this.#options;
    const state = states.get(sequence);
    if (state) await device.setLength(state.kv, sequence.numTokens - 1);
  }

  /** @returns logits `[1 + guessed tokens, vocabSize]` by sequence, of those whose turn it is. @throws InferenceError */
  async step(drafts: Drafts, onFailure: OnDecodeFailure): Promise<Map<Tokens, Float32Array>> {
    const { device, middles, states, meter } = this.#options;
    const pass = device.createPass();
    const step = new HiddenOfStep();
    try {
      const groups = this.#turns.begin(states.decoding());
      const decoding = groups.flatMap(({ members }) => members);
      const inputs = decoding.map(([sequence, { kv }]): PassInput => {
        const draft = drafts.get(sequence) ?? [];
        const input = Uint32Array.of(sequence.lastTokenId, ...draft);
        return { kv, input, isStepwise: input.length > 1 };
      });
      const afterTrunk = step.keep(decoding, await pass.forward([middles.trunk], inputs));
      meter?.lap("trunk");
      const afterMiddle = new Map<Tokens, HiddenStates>();
      for (const group of groups) {
        const { middle, members } = group;
        try {
          const hidden = await this.#turns.measure(group, () => runGroup(pass, group, afterTrunk));
          for (const [member, states] of step.keep(members, hidden))
            afterMiddle.set(member, states);
          meter?.countRows(middle.name, members.length);
        } catch (error) {
          const failed = members.map(([sequence]) => sequence);
          onFailure(failed, error);
          for (const sequence of failed) states.release(sequence);
        }
      }
      this.#turns.end();
      meter?.lap("expert");
      return await this.#runHead(pass, afterMiddle);
    } finally {
      step.end();
    }
  }

  async #runHead(
    pass: ForwardPass,
    afterMiddle: ReadonlyMap<Tokens, HiddenStates>,
  ): Promise<Map<Tokens, Float32Array>> {
    const { middles, states, meter } = this.#options;
    const decoding = states.decoding().filter(([sequence]) => afterMiddle.has(sequence));
    const inputs = decoding.map(([sequence, { kv }]) => {
      const input = afterMiddle.get(sequence)!;
      const rows = Array.from({ length: input.numRows }, (_, row) => row);
      return { kv, input, isStepwise: rows.length > 1, rows };
    });
    const rows = await pass.forwardLogits(middles.head, inputs);
    meter?.lap("head");
    return new Map(decoding.map(([sequence], i) => [sequence, rows[i]!]));
  }
}

async function runGroup(
  pass: ForwardPass,
  { middle, members }: DecodeGroup,
  inputs: ReadonlyMap<Tokens, HiddenStates>,
): Promise<HiddenStates[]> {
  return pass.forward(
    middle.stages,
    members.map(([sequence, { kv }]) => {
      const input = inputs.get(sequence)!;
      return { kv, input, isStepwise: input.numRows > 1 };
    }),
  );
}

/** Hidden states that are given up when the step is over. */
class HiddenOfStep {
  readonly #kept: HiddenStates[] = [];

  keep(
    members: readonly [Tokens, SequenceState][],
    hidden: readonly HiddenStates[],
  ): Map<Tokens, HiddenStates> {
    this.#kept.push(...hidden);
    return new Map(members.map(([sequence], i) => [sequence, hidden[i]!]));
  }

  end(): void {
    for (const hidden of this.#kept) hidden.dispose();
  }
}
