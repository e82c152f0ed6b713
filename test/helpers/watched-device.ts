import type {
  Device,
  ForwardPass,
  HiddenStates,
  KvSnapshot,
  LogitsInput,
  PassInput,
  SequenceKv,
  Stage,
} from "../../engine/device/device.ts";
import type { StageModel } from "../../model/stages/stage-spec.ts";

export interface DeviceHooks {
  /** Called before a pass of some sequences through a run of stages; what it throws is what the pass fails with. */
  readonly beforePass?: (stages: readonly Stage[], numSequences: number) => void;
  readonly beforeLoad?: (model: StageModel) => void;
}

/** A device that can be made to fail, and that knows which of its hidden states have not been disposed. */
export class WatchedDevice implements Device {
  readonly live = new Set<HiddenStates>();
  readonly #device: Device;
  readonly #hooks: DeviceHooks;
  readonly #inner = new WeakMap<HiddenStates, HiddenStates>();

  constructor(device: Device, hooks: DeviceHooks) {
    this.#device = device;
    this.#hooks = hooks;
  }

  get weightBytes(): number {
    return this.#device.weightBytes;
  }

  get kvBytes(): number {
    return this.#device.kvBytes;
  }

  get chunkTokens(): number {
    return this.#device.chunkTokens;
  }

  async loadStage(model: StageModel): Promise<Stage> {
    this.#hooks.beforeLoad?.(model);
    return this.#device.loadStage(model);
  }

  kvBytesFor(stages: readonly Stage[], numTokens: number): number {
    return this.#device.kvBytesFor(stages, numTokens);
  }

  growthBytesFor(stages: readonly Stage[], numTokens: number): number {
    return this.#device.growthBytesFor(stages, numTokens);
  }

  openKv(...options: Parameters<Device["openKv"]>): Promise<SequenceKv[]> {
    return this.#device.openKv(...options);
  }

  extendKv(...options: Parameters<Device["extendKv"]>): Promise<void> {
    return this.#device.extendKv(...options);
  }

  makeRoom(kvs: readonly SequenceKv[], maxBytes: number): Promise<void> {
    return this.#device.makeRoom(kvs, maxBytes);
  }

  stepwiseRoom(kv: SequenceKv): number {
    return this.#device.stepwiseRoom(kv);
  }

  setLength(kv: SequenceKv, length: number): Promise<void> {
    return this.#device.setLength(kv, length);
  }

  snapshotBytesFor(stages: readonly Stage[], numTokens: number, withHidden: boolean): number {
    return this.#device.snapshotBytesFor(stages, numTokens, withHidden);
  }

  takeSnapshot(
    kv: SequenceKv,
    stages: readonly Stage[],
    numTokens: number,
    hidden: HiddenStates | null,
  ): Promise<KvSnapshot> {
    return this.#device.takeSnapshot(kv, stages, numTokens, hidden && this.#innerOf(hidden));
  }

  async restoreSnapshots(
    ...options: Parameters<Device["restoreSnapshots"]>
  ): Promise<(HiddenStates | null)[]> {
    const states = await this.#device.restoreSnapshots(...options);
    return states.map((hidden) => hidden && this.#track(hidden));
  }

  createPass(): ForwardPass {
    const pass = this.#device.createPass();
    const before = (stages: readonly Stage[], inputs: readonly PassInput[]) =>
      this.#hooks.beforePass?.(stages, inputs.length);
    return {
      forward: async (stages, inputs) => {
        before(stages, inputs);
        const states = await pass.forward(
          stages,
          inputs.map((item) => this.#innerInput(item)),
        );
        return states.map((hidden) => this.#track(hidden));
      },
      forwardLogits: async (head, inputs: readonly LogitsInput[]) => {
        before([head], inputs);
        return pass.forwardLogits(
          head,
          inputs.map((item) => this.#innerInput(item)),
        );
      },
    };
  }

  readRows(hidden: HiddenStates): Promise<Float32Array> {
    return this.#device.readRows(this.#innerOf(hidden));
  }

  settle(): Promise<void> {
    return this.#device.settle();
  }

  #innerInput<Input extends PassInput>(item: Input): Input {
    const { input } = item;
    return input instanceof Uint32Array ? item : { ...item, input: this.#innerOf(input) };
  }

  #innerOf(hidden: HiddenStates): HiddenStates {
    return this.#inner.get(hidden) ?? hidden;
  }

  #track(hidden: HiddenStates): HiddenStates {
    const tracked: HiddenStates = {
      numRows: hidden.numRows,
      sizeBytes: hidden.sizeBytes,
      dispose: () => {
        this.live.delete(tracked);
        hidden.dispose();
      },
    };
    this.#inner.set(tracked, hidden);
    this.live.add(tracked);
    return tracked;
  }
}
