import type { Device, SequenceKv, Stage } from "../engine/device/device.ts";
import { openDevice } from "../engine/device/open-device.ts";
import type { StageModel } from "../model/stages/stage-spec.ts";
import type { ModelConfig } from "../model/weights/config.ts";
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
    config: ModelConfig,
    numThreads: number,
  ): Promise<StageSide> {
    const device = await openDevice({ numThreads, config });
    return new StageSide(device, await device.loadStage(model));
  }

  /** @returns seconds */
  async prefill(numTokens: number): Promise<number> {
    const { chunkTokens } = this.#device;
    const kvs = await this.#device.openKv([this.#stage], numTokens);
    const startedAt = performance.now();
    for (let past = 0; past < numTokens; past += chunkTokens) {
      await this.#forward(kvs, Math.min(chunkTokens, numTokens - past));
    }
    const seconds = (performance.now() - startedAt) / 1000;
    for (const kv of kvs) kv.release();
    return seconds;
  }

  /** @returns seconds of all steps together */
  async decode({ batch, context, tokens }: DecodeRun): Promise<number> {
    const kvs = await this.#device.openKv([this.#stage], context + tokens + 1, batch);
    for (const kv of kvs) await this.#device.setLength(kv, context);
    await this.#forward(kvs, 1);
    const startedAt = performance.now();
    for (let i = 1; i <= tokens; i++) await this.#forward(kvs, 1);
    const seconds = (performance.now() - startedAt) / 1000;
    for (const kv of kvs) kv.release();
    return seconds;
  }

  async close(): Promise<void> {
    await this.#stage.dispose();
  }

  async #forward(kvs: readonly SequenceKv[], numNewTokens: number): Promise<void> {
    const inputs = kvs.map((kv, sequence) => ({
      kv,
      input: Uint32Array.from({ length: numNewTokens }, (_, i) => {
        return ((sequence * numNewTokens + i) * 7919) % 512;
      }),
    }));
    const states = await this.#device.createPass().forward([this.#stage], inputs);
    await this.#device.settle();
    for (const hidden of states) hidden.dispose();
  }
}
