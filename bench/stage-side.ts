import type { Device, KvArena, Stage } from "../engine/device/device.ts";
import { DEFAULT_PREFILL_CHUNK } from "../engine/run/model-runner.ts";
import { openDevice } from "../engine/device/open-device.ts";
import type { StageModel } from "../model/stages/stage-spec.ts";
import type { DecodeRun } from "./llama-peer.ts";

/** One stage with the embedding, run on its own. */
export class StageSide {
  readonly #device: Device;
  readonly #stage: Stage;

  private constructor(device: Device, stage: Stage) {
    this.#device = device;
    this.#stage = stage;
  }

  static async load(
    model: StageModel,
    ropeInverseFrequencies: Float32Array,
    numThreads: number,
  ): Promise<StageSide> {
    const device = await openDevice({ numThreads, ropeInverseFrequencies });
    return new StageSide(device, await device.loadStage(model));
  }

  /** @returns seconds */
  async prefill(numTokens: number): Promise<number> {
    const arena = this.#arena(numTokens, 1);
    const startedAt = performance.now();
    for (let past = 0; past < numTokens; past += DEFAULT_PREFILL_CHUNK) {
      await this.#forward(arena, [past], Math.min(DEFAULT_PREFILL_CHUNK, numTokens - past));
    }
    const seconds = (performance.now() - startedAt) / 1000;
    arena.dispose();
    return seconds;
  }

  /** @returns seconds of all steps together */
  async decode({ batch, context, tokens }: DecodeRun): Promise<number> {
    const arena = this.#arena(context + tokens + 1, batch);
    const step = (i: number) =>
      this.#forward(
        arena,
        Array.from({ length: batch }, () => context + i),
        1,
      );
    await step(0);
    const startedAt = performance.now();
    for (let i = 1; i <= tokens; i++) await step(i);
    const seconds = (performance.now() - startedAt) / 1000;
    arena.dispose();
    return seconds;
  }

  async close(): Promise<void> {
    await this.#stage.dispose();
  }

  #arena(capacity: number, numSlots: number): KvArena {
    const { layers, headDim } = this.#stage.spec;
    return this.#device.createArena({ layers, headDim, capacity, numSlots });
  }

  async #forward(
    arena: KvArena,
    pastLengths: readonly number[],
    numNewTokens: number,
  ): Promise<void> {
    const ids = new Uint32Array(pastLengths.length * numNewTokens).map((_, i) => (i * 7919) % 512);
    const pass = this.#device.createPass(pastLengths, numNewTokens);
    (await this.#stage.forward(ids, { arena, firstSlot: 0, pass })).dispose();
  }
}
