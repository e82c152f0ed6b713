import type { StepMeter } from "../contract/step-meter.ts";
import type { Tokens } from "../contract/tokens.ts";
import type { Device, ForwardPass, HiddenStates } from "../device/device.ts";
import type { Middles } from "./middles.ts";
import type { SequenceState, SequenceStates } from "./sequence-states.ts";

export interface ChunkRunnerOptions {
  readonly device: Device;
  readonly middles: Middles;
  readonly states: SequenceStates;
  /** Told of the parts of each pass. */
  readonly meter?: StepMeter | undefined;
}

/**
 * Runs a text that is there already, chunk by chunk: the whole of it through the trunk, then the trunk's output through
 * the stages of a middle, one at a time, and the head.
 */
export class ChunkRunner {
  readonly #options: ChunkRunnerOptions;

  constructor(options: ChunkRunnerOptions) {
    this.#options = options;
  }

  /**
   * @param chunk tokens of a chunk
   * @param chain of its prompt's blocks in the prefix cache
   */
  async open(
    sequence: Tokens,
    chunk: number,
    chain: readonly string[] = [],
  ): Promise<SequenceState> {
    const { device, middles, states } = this.#options;
    const numTokens = Math.min(sequence.numTokens, chunk);
    const [kv] = await device.openKv([middles.trunk, middles.head], numTokens);
    const state: SequenceState = {
      ...{ kv: kv!, numInTrunk: 0, numInHead: 0, numStages: 0, pass: null },
      ...{ middle: null, chunks: [], chain },
      skippable: chain.slice(0, Math.floor((sequence.numTokens - 1) / chunk)),
      ...{ numCached: 0, isDecoding: false },
    };
    states.set(sequence, state);
    sequence.reader?.begin();
    return state;
  }

  /** Says what a sequence that has passed the trunk runs on. */
  async setMiddle(state: SequenceState, name: string): Promise<void> {
    const { device, middles } = this.#options;
    const middle = middles.get(name);
    await device.extendKv(state.kv, middle.stages, state.chunks[0]!.numRows);
    state.middle = middle;
  }

  /** The next tokens through the trunk. @returns its output, which the state keeps */
  async trunk(sequence: Tokens, state: SequenceState, chunk: number): Promise<HiddenStates> {
    const { device, middles } = this.#options;
    const { kv, numInTrunk } = state;
    const input = sequence.tokenIds(numInTrunk, numInTrunk + chunk);
    const [hidden] = await device.createPass().forward([middles.trunk], [{ kv, input }]);
    state.chunks.push(hidden!);
    state.numInTrunk += input.length;
    return hidden!;
  }

  /** The first chunk that the head has not seen, through the next stage of the middle. */
  async middle(state: SequenceState): Promise<void> {
    const { meter } = this.#options;
    const { kv, middle, chunks } = state;
    const [input] = chunks;
    const stage = middle!.stages[state.numStages]!;
    const [hidden] = await this.#passOf(state).forward([stage], [{ kv, input: input! }]);
    input!.dispose();
    chunks[0] = hidden!;
    state.numStages++;
    meter?.lap("expert");
  }

  /**
   * A chunk that has passed the middle through the head.
   * @returns logits of some of its rows; of null, what the last norm takes of all
   */
  async head(state: SequenceState, rows: readonly number[] | null): Promise<Float32Array> {
    const { middles, meter } = this.#options;
    const { kv, chunks } = state;
    const input = chunks[0]!;
    const pass = this.#passOf(state);
    let result: Float32Array;
    if (rows === null) {
      const [states] = await pass.forward([middles.head], [{ kv, input }]);
      result = await this.#take(states!);
    } else {
      const [logits] = await pass.forwardLogits(middles.head, [{ kv, input, rows }]);
      result = logits!;
    }
    meter?.lap("head");
    meter?.countTokens(input.numRows);
    state.numInHead += input.numRows;
    state.numStages = 0;
    state.pass = null;
    input.dispose();
    chunks.shift();
    return result;
  }

  /** One pass from the first stage of the middle to the head. */
  #passOf(state: SequenceState): ForwardPass {
    state.pass ??= this.#options.device.createPass();
    return state.pass;
  }

  async #take(states: HiddenStates): Promise<Float32Array> {
    try {
      return (await this.#options.device.readRows(states)).slice();
    } finally {
      states.dispose();
    }
  }
}
