import { totalBytes } from "../../model/stages/model-stages.ts";
import type { StageModel, StageSpec } from "../../model/stages/stage-spec.ts";
import { RuntimeError } from "../../runtime/errors.ts";
import { RotaryTable } from "../../runtime/rotary-table.ts";
import { StageSession } from "../../runtime/stage-session.ts";
import type { StagePass, StageResults } from "../../runtime/stage-session.ts";
import { CpuArena } from "./cpu-arena.ts";
import { CpuPass } from "./cpu-pass.ts";
import type {
  ArenaSpec,
  Device,
  DeviceOptions,
  ForwardBatch,
  ForwardPass,
  HiddenRow,
  HiddenStates,
  KvArena,
  Stage,
  StageInput,
} from "./device.ts";
import { InferenceError } from "../contract/errors.ts";

/** ONNX Runtime's CPU provider with the KV cache in JavaScript's memory (host-cache attention). */
export class CpuDevice implements Device {
  readonly #numThreads: number;
  readonly #rotary: RotaryTable;
  #weightBytes = 0;
  #kvBytes = 0;

  constructor({ numThreads, ropeInverseFrequencies }: DeviceOptions) {
    this.#numThreads = numThreads;
    this.#rotary = new RotaryTable(ropeInverseFrequencies);
  }

  get weightBytes(): number {
    return this.#weightBytes;
  }

  get kvBytes(): number {
    return this.#kvBytes;
  }

  async loadStage(model: StageModel): Promise<Stage> {
    const session = await StageSession.load(model, this.#numThreads).catch(throwAsInferenceError);
    const sizeBytes = totalBytes([model]);
    this.#weightBytes += sizeBytes;
    return new CpuStage(session, sizeBytes, () => (this.#weightBytes -= sizeBytes));
  }

  createArena(spec: ArenaSpec): KvArena {
    return new CpuArena(spec, (delta) => (this.#kvBytes += delta));
  }

  createPass(pastLengths: readonly number[], numNewTokens: number): ForwardPass {
    return new CpuPass(this.#rotary, pastLengths, numNewTokens);
  }

  gatherRows(rows: readonly HiddenRow[]): HiddenStates {
    const first = rows[0]!.source as CpuHidden;
    const hiddenSize = first.hiddenSize;
    const data = new Float32Array(rows.length * hiddenSize);
    for (const [index, { source, row }] of rows.entries()) {
      const start = row * hiddenSize;
      data.set((source as CpuHidden).data.subarray(start, start + hiddenSize), index * hiddenSize);
    }
    return new CpuHidden(data, hiddenSize);
  }

  readRows(hidden: HiddenStates): Promise<Float32Array> {
    return Promise.resolve((hidden as CpuHidden).data);
  }
}

class CpuHidden implements HiddenStates {
  readonly data: Float32Array;
  readonly hiddenSize: number;

  constructor(data: Float32Array, hiddenSize: number) {
    this.data = data;
    this.hiddenSize = hiddenSize;
  }

  get numRows(): number {
    return this.data.length / this.hiddenSize;
  }

  get sizeBytes(): number {
    return this.data.byteLength;
  }

  dispose(): void {
    // Garbage collected.
  }
}

class CpuStage implements Stage {
  readonly spec: StageSpec;
  readonly weightBytes: number;
  readonly #session: StageSession;
  readonly #onDispose: () => void;
  #isDisposed = false;

  constructor(session: StageSession, weightBytes: number, onDispose: () => void) {
    this.spec = session.spec;
    this.weightBytes = weightBytes;
    this.#session = session;
    this.#onDispose = onDispose;
  }

  async forward(input: StageInput, batch: ForwardBatch): Promise<HiddenStates> {
    const kept = Array.from({ length: batch.pass.numNewTokens }, (_, row) => row);
    const rows = this.spec.hasHead ? { rows: { kept, logits: [] } } : {};
    const results = await this.#run(input, batch, rows);
    return new CpuHidden(results["hidden_out"]!, this.spec.hiddenSize);
  }

  async forwardLogits(
    input: StageInput,
    batch: ForwardBatch,
    rows: readonly number[],
  ): Promise<Float32Array> {
    const results = await this.#run(input, batch, {
      rows: { kept: rows, logits: [...rows.keys()] },
    });
    return results["logits"]!;
  }

  async dispose(): Promise<void> {
    if (this.#isDisposed) return;
    this.#isDisposed = true;
    await this.#session.release();
    this.#onDispose();
  }

  async #run(
    input: StageInput,
    batch: ForwardBatch,
    rows: Pick<StagePass, "rows">,
  ): Promise<StageResults> {
    const { firstSlot } = batch;
    const [arena, pass] = [batch.arena as CpuArena, batch.pass as CpuPass];
    const { pastLengths, numNewTokens, hasPast } = pass;
    const results = await this.#session
      .run({
        input:
          input instanceof Uint32Array
            ? BigInt64Array.from(input, BigInt)
            : (input as CpuHidden).data,
        attention: pass.attention(arena.capacity),
        past: arena.feeds(firstSlot, pastLengths.length, !hasPast),
        ...rows,
      })
      .catch(throwAsInferenceError);
    const { new_k: newKeys, new_v: newValues } = results;
    if (newKeys && newValues) {
      arena.append(newKeys, newValues, firstSlot, pastLengths, numNewTokens);
    }
    return results;
  }
}

/** For `catch`: throws what ONNX Runtime refused as a failure of the engine, and anything else as it is. */
function throwAsInferenceError(error: unknown): never {
  if (!(error instanceof RuntimeError)) throw error;
  throw new InferenceError(error.message, { cause: error });
}
