import type { StageModel } from "../../model/stages/stage-spec.ts";
import { AttentionKinds } from "../../runtime/attention-kinds.ts";
import { cpuChunkTokens } from "./chunk-tokens.ts";
import { CpuArena } from "./cpu-arena.ts";
import { CpuForward } from "./cpu-forward.ts";
import type { CpuHidden } from "./cpu-hidden.ts";
import { CpuKv } from "./cpu-kv.ts";
import { CpuSnapshot } from "./cpu-snapshot.ts";
import { CpuStage } from "./cpu-stage.ts";
import type { Device, DeviceOptions, ForwardPass } from "./device.ts";
import type { ArenaSpec } from "./kv-arena.ts";
import { capacityFor, planCapacities } from "./kv-capacity.ts";
import { tailPositions } from "./kv-tail.ts";

/** ONNX Runtime's CPU provider with the KV cache in JavaScript's memory (host-cache attention), all in fp32. */
export class CpuDevice implements Device {
  readonly chunkTokens = cpuChunkTokens;
  readonly #numThreads: number;
  readonly #maxBatch: number;
  readonly #kinds: AttentionKinds;
  #weightBytes = 0;
  #kvBytes = 0;

  constructor({ numThreads, config, maxBatch = 64 }: DeviceOptions) {
    this.#numThreads = numThreads;
    this.#maxBatch = maxBatch;
    this.#kinds = new AttentionKinds(config);
  }

  get weightBytes(): number {
    return this.#weightBytes;
  }

  get kvBytes(): number {
    return this.#kvBytes;
  }

  async loadStage(model: StageModel): Promise<CpuStage> {
    const stage = await CpuStage.load(model, {
      ...{ numThreads: this.#numThreads, maxBatch: this.#maxBatch },
      createArena: this.#createArena,
      onDispose: (weightBytes) => (this.#weightBytes -= weightBytes),
    });
    this.#weightBytes += stage.weightBytes;
    return stage;
  }

  kvBytesFor(stages: readonly CpuStage[], numTokens: number): number {
    return (capacityFor(numTokens) + tailPositions) * bytesPerPosition(stages);
  }

  growthBytesFor(stages: readonly CpuStage[], numTokens: number): number {
    return (
      capacityFor(numTokens) * Math.max(...stages.map(({ largestKeyBytes }) => largestKeyBytes))
    );
  }

  openKv(stages: readonly CpuStage[], numTokens: number, numSequences = 1): Promise<CpuKv[]> {
    const kvs = Array.from({ length: numSequences }, () => new CpuKv());
    this.#open(kvs, stages, numTokens);
    return Promise.resolve(kvs);
  }

  extendKv(kv: CpuKv, stages: readonly CpuStage[], numTokens: number): Promise<void> {
    this.#open([kv], stages, numTokens);
    return Promise.resolve();
  }

  makeRoom(kvs: readonly CpuKv[], maxBytes: number): Promise<void> {
    const demands = kvs.map(({ capacity, length }) => ({ length: length + 1, capacity }));
    let plan = planCapacities(demands);
    const planned = kvs.reduce(
      (sum, kv, i) => sum + (plan[i]! + tailPositions) * kv.bytesPerPosition,
      0,
    );
    if (planned > maxBytes) plan = demands.map(({ length }) => capacityFor(length));
    // Those that get less come first, so that there is never more than before or after.
    const growth = (i: number) => plan[i]! - demands[i]!.capacity;
    for (const i of [...plan.keys()].sort((a, b) => growth(a) - growth(b))) kvs[i]!.join(plan[i]!);
    return Promise.resolve();
  }

  stepwiseRoom({ length }: CpuKv): number {
    // The last place is for a token that stays: with it the tail becomes past.
    return Math.max(1, tailPositions - 1 - (length % tailPositions));
  }

  setLength(kv: CpuKv, length: number): Promise<void> {
    kv.setLength(length);
    return Promise.resolve();
  }

  snapshotBytesFor(stages: readonly CpuStage[], numTokens: number, withHidden: boolean): number {
    const { hiddenSize } = stages[0]!.spec;
    const hidden = withHidden ? hiddenSize * Float32Array.BYTES_PER_ELEMENT : 0;
    const tail = numTokens % tailPositions === 0 ? 0 : tailPositions;
    return (numTokens + tail) * bytesPerPosition(stages) + numTokens * hidden;
  }

  takeSnapshot(
    kv: CpuKv,
    stages: readonly CpuStage[],
    numTokens: number,
    hidden: CpuHidden | null,
  ): Promise<CpuSnapshot> {
    const options = { kv, stages, length: numTokens, hidden };
    return Promise.resolve(CpuSnapshot.take(this.#createArena, options));
  }

  restoreSnapshots(
    kv: CpuKv,
    stages: readonly CpuStage[],
    snapshots: readonly CpuSnapshot[],
  ): Promise<(CpuHidden | null)[]> {
    const length = snapshots.reduce((sum, snapshot) => sum + snapshot.length, 0);
    for (const stage of stages) kv.makeRoomOn(stage, length);
    const outputs = snapshots.map((snapshot) => {
      snapshot.restore(kv, stages);
      return snapshot.hidden && snapshot.hidden.copy();
    });
    return Promise.resolve(outputs);
  }

  createPass(): ForwardPass {
    return new CpuForward(this.#kinds);
  }

  readRows(hidden: CpuHidden): Promise<Float32Array> {
    return Promise.resolve(hidden.data);
  }

  settle(): Promise<void> {
    return Promise.resolve();
  }

  /** Told of every change of the allocated KV bytes. */
  protected countKv(deltaBytes: number): void {
    this.#kvBytes += deltaBytes;
  }

  readonly #createArena = (spec: ArenaSpec): CpuArena =>
    new CpuArena(spec, (deltaBytes) => this.countKv(deltaBytes));

  #open(kvs: readonly CpuKv[], stages: readonly CpuStage[], numTokens: number): void {
    for (const stage of stages) {
      const slots = stage.pool.open(kvs.length, capacityFor(numTokens));
      for (const [i, kv] of kvs.entries()) kv.add(stage, slots[i]!);
    }
  }
}

function bytesPerPosition(stages: readonly CpuStage[]): number {
  return stages.reduce((sum, stage) => sum + stage.bytesPerPosition, 0);
}
