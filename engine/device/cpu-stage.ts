import { totalBytes } from "../../model/stages/model-stages.ts";
import type { StageModel, StageSpec } from "../../model/stages/stage-spec.ts";
import { RuntimeError } from "../../runtime/errors.ts";
import { StageSession } from "../../runtime/stage-session.ts";
import type { StagePass, StageResults } from "../../runtime/stage-session.ts";
import { InferenceError } from "../contract/errors.ts";
import type { CpuArena } from "./cpu-arena.ts";
import type { Stage } from "./device.ts";
import type { ArenaSpec } from "./kv-arena.ts";
import { KvPool } from "./kv-pool.ts";

export interface CpuStageOptions {
  readonly numThreads: number;
  /** Sequences that decode at once. */
  readonly maxBatch: number;
  readonly createArena: (spec: ArenaSpec) => CpuArena;
  readonly onDispose: (weightBytes: number) => void;
}

/** A session and the KV of the sequences that run through it. */
export class CpuStage implements Stage {
  readonly weightBytes: number;
  readonly pool: KvPool<CpuArena>;
  /** KV bytes of one position. */
  readonly bytesPerPosition: number;
  /** Bytes of one position in the keys of the layer that has most. */
  readonly largestKeyBytes: number;
  readonly #session: StageSession;
  readonly #onDispose: (weightBytes: number) => void;
  #isDisposed = false;

  private constructor(session: StageSession, weightBytes: number, options: CpuStageOptions) {
    this.weightBytes = weightBytes;
    const { layers, headDim } = session.spec;
    this.#session = session;
    this.#onDispose = options.onDispose;
    this.pool = new KvPool(options.createArena, { layers, headDim }, options.maxBatch);
    const keyBytes = layers.map(({ numHeads, numKvHeads }) =>
      numHeads > 0 ? numKvHeads * headDim * Float32Array.BYTES_PER_ELEMENT : 0,
    );
    this.bytesPerPosition = 2 * keyBytes.reduce((sum, bytes) => sum + bytes, 0);
    this.largestKeyBytes = Math.max(0, ...keyBytes);
  }

  /** @throws InferenceError when ONNX Runtime refuses the stage; nothing is kept then. */
  static async load(model: StageModel, options: CpuStageOptions): Promise<CpuStage> {
    const session = await StageSession.load(model, options.numThreads).catch(throwAsInferenceError);
    return new CpuStage(session, totalBytes([model]), options);
  }

  get spec(): StageSpec {
    return this.#session.spec;
  }

  /** @throws InferenceError */
  async run(pass: StagePass): Promise<StageResults> {
    return this.#session.run(pass).catch(throwAsInferenceError);
  }

  async dispose(): Promise<void> {
    if (this.#isDisposed) return;
    this.#isDisposed = true;
    await this.#session.release();
    this.#onDispose(this.weightBytes);
  }
}

/** For `catch`: throws what ONNX Runtime refused as a failure of the engine, and anything else as it is. */
function throwAsInferenceError(error: unknown): never {
  if (!(error instanceof RuntimeError)) throw error;
  throw new InferenceError(error.message, { cause: error });
}
