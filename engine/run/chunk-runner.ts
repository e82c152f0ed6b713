import type { StepMeter } from "../contract/step-meter.ts";
import type { Tokens } from "../contract/tokens.ts";
import type { Device, HiddenStates } from "../device/device.ts";
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
 * a middle and the head.
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
      ...{ kv: kv!, numInTrunk: 0, numInHead: 0, middle: null, chunks: [], chain },
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

  /**
   * The trunk's next chunk through middle and head.
   * @returns logits of some of its rows; of null, what the last norm takes of all
   */
  async rest(state: SequenceState, rows: readonly number[] | null): Promise<Float32Array> {
    const { device, middles, meter } = this.#options;
    const { kv, middle, chunks } = state;
    const input = chunks[0]!;
    const pass = device.createPass();
    const [hidden] = await pass.forward(middle!.stages, [{ kv, input }]);
    let result: Float32Array;
    try {
      meter?.lap("expert");
      if (rows === null) {
        const [states] = await pass.forward([middles.head], [{ kv, input: hidden! }]);
        result = await this.#take(states!);
      } else {
        const [logits] = await pass.forwardLogits(middles.head, [{ kv, input: hidden!, rows }]);
        result = logits!;
      }
      meter?.lap("head");
      meter?.countTokens(input.numRows);
    } finally {
      hidden!.dispose();
    }
    state.numInHead += input.numRows;
    input.dispose();
    chunks.shift();
    return result;
  }

  async #take(states: HiddenStates): Promise<Float32Array> {
    try {
      return (await this.#options.device.readRows(states)).slice();
    } finally {
      states.dispose();
    }
  }
}
