import type { Device, SequenceKv, Stage } from "../../engine/device/device.ts";

/** A sequence that nobody computes anything beside. The last of its stages is the head. */
export class LoneSequence {
  readonly kv: SequenceKv;
  readonly #device: Device;
  readonly #stages: readonly Stage[];

  private constructor(device: Device, stages: readonly Stage[], kv: SequenceKv) {
    this.#device = device;
    this.#stages = stages;
    this.kv = kv;
  }

  static async open(device: Device, stages: readonly Stage[]): Promise<LoneSequence> {
    const [kv] = await device.openKv(stages, 1);
    return new LoneSequence(device, stages, kv!);
  }

  /** @returns logits of all the tokens, `[tokenIds.length, vocabSize]` */
  async forward(tokenIds: readonly number[] | Uint32Array): Promise<Float32Array> {
    const { kv } = this;
    const pass = this.#device.createPass();
    const input = Uint32Array.from(tokenIds);
    const [hidden] = await pass.forward(this.#stages.slice(0, -1), [{ kv, input }]);
    const rows = [...input.keys()];
    const head = this.#stages.at(-1)!;
    const [logits] = await pass.forwardLogits(head, [{ kv, input: hidden!, rows }]);
    hidden!.dispose();
    return logits!;
  }
}

/** Logits of all tokens of a text, `[tokenIds.length, vocabSize]`. */
export async function forwardAlone(
  device: Device,
  stages: readonly Stage[],
  tokenIds: readonly number[] | Uint32Array,
): Promise<Float32Array> {
  const sequence = await LoneSequence.open(device, stages);
  const logits = await sequence.forward(tokenIds);
  sequence.kv.release();
  return logits;
}
