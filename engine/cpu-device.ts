import * as ort from "onnxruntime-node";

import type { StageModel } from "../model/stage-graph.ts";
import { CpuArena } from "./cpu-arena.ts";
import type {
  ArenaSpec,
  Device,
  ForwardBatch,
  HiddenRow,
  HiddenStates,
  KvArena,
  Stage,
  StageInput,
} from "./device.ts";
import { InferenceError } from "./errors.ts";
import { RotaryTable } from "../runtime/rotary-table.ts";

export interface CpuDeviceOptions {
  /** Threads of one forward pass. */
  readonly numThreads: number;
  /** Radians per position, shape `[headDim / 2]`. */
  readonly ropeInverseFrequencies: Float32Array;
  /** Prefix of ONNX Runtime's profile files. @default no profiling */
  readonly profilePrefix?: string;
}

/** ONNX Runtime's CPU provider with the KV cache in JavaScript's memory (host-cache attention). */
export class CpuDevice implements Device {
  readonly #options: CpuDeviceOptions;
  readonly #rotary: RotaryTable;
  #weightBytes = 0;
  #kvBytes = 0;

  constructor(options: CpuDeviceOptions) {
    this.#options = options;
    this.#rotary = new RotaryTable(options.ropeInverseFrequencies);
  }

  get weightBytes(): number {
    return this.#weightBytes;
  }

  get kvBytes(): number {
    return this.#kvBytes;
  }

  async loadStage(model: StageModel): Promise<Stage> {
    const { numThreads, profilePrefix } = this.#options;
    let session: ort.InferenceSession;
    try {
      session = await ort.InferenceSession.create(model.graph, {
        executionProviders: ["cpu"],
        intraOpNumThreads: numThreads,
        externalData: Array.from(model.weights, ([path, data]) => ({ path, data })),
        // Threads of one session must not spin while another session runs.
        extra: { session: { force_spinning_stop: "1" } },
        ...(profilePrefix !== undefined && {
          enableProfiling: true,
          profileFilePrefix: `${profilePrefix}-${model.name}`,
        }),
      });
    } catch (cause) {
      throw new InferenceError(`Stage ${model.name} could not be loaded: ${String(cause)}`, {
        cause,
      });
    }
    this.#weightBytes += model.sizeBytes;
    return new CpuStage(model, session, this.#rotary, () => (this.#weightBytes -= model.sizeBytes));
  }

  createArena(spec: ArenaSpec): KvArena {
    return new CpuArena(spec, (delta) => (this.#kvBytes += delta));
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

/** Added to the score of a position that must not be seen. */
const HIDDEN_SCORE = -1e30;

class CpuStage implements Stage {
  readonly model: StageModel;
  readonly #rotary: RotaryTable;
  readonly #onDispose: () => void;
  #session: ort.InferenceSession | null;

  constructor(
    model: StageModel,
    session: ort.InferenceSession,
    rotary: RotaryTable,
    onDispose: () => void,
  ) {
    // The session has its own copy of the weights.
    this.model = { ...model, weights: new Map() };
    this.#session = session;
    this.#rotary = rotary;
    this.#onDispose = onDispose;
  }

  async forward(input: StageInput, batch: ForwardBatch): Promise<HiddenStates> {
    const all = Array.from({ length: batch.numNewTokens }, (_, row) => row);
    const rows = this.model.hasHead ? { rows: rowIds(all), logit_rows: rowIds([]) } : {};
    const results = await this.#run(input, batch, rows);
    return new CpuHidden(results["hidden_out"]!.data as Float32Array, this.model.hiddenSize);
  }

  async forwardLogits(
    input: StageInput,
    batch: ForwardBatch,
    rows: readonly number[],
  ): Promise<Float32Array> {
    const results = await this.#run(input, batch, {
      rows: rowIds(rows),
      logit_rows: rowIds([...rows.keys()]),
    });
    return results["logits"]!.data as Float32Array;
  }

  async dispose(): Promise<void> {
    const session = this.#session;
    this.#session = null;
    if (session === null) return;
    await session.release();
    this.#onDispose();
  }

  async #run(
    input: StageInput,
    batch: ForwardBatch,
    extraFeeds: Record<string, ort.Tensor>,
  ): Promise<ort.InferenceSession.ReturnType> {
    if (this.#session === null) throw new InferenceError(`Stage ${this.model.name} was released.`);
    const { firstSlot, pastLengths, numNewTokens } = batch;
    const arena = batch.arena as CpuArena;
    const numSequences = pastLengths.length;
    const noPast = pastLengths.every((length) => length === 0);
    const capacity = noPast ? 0 : arena.capacity;
    const feeds: Record<string, ort.Tensor> = { ...extraFeeds };
    const dims = [numSequences, numNewTokens];
    if (input instanceof Uint32Array) {
      feeds["token_ids"] = new ort.Tensor("int64", BigInt64Array.from(input, BigInt), dims);
    } else {
      feeds["hidden"] = new ort.Tensor("float32", (input as CpuHidden).data, [
        ...dims,
        this.model.hiddenSize,
      ]);
    }
    const hasAttention = this.model.layers.some((layer) => layer.numHeads > 0);
    if (hasAttention) {
      Object.assign(feeds, arena.feeds(firstSlot, numSequences, noPast));
      Object.assign(feeds, this.#rotary.feeds(pastLengths, numNewTokens));
      feeds["mask"] = attentionMask(pastLengths, numNewTokens, capacity);
      feeds["score_split"] = new ort.Tensor(
        "int64",
        BigInt64Array.of(BigInt(capacity), BigInt(numNewTokens)),
        [2],
      );
    }
    let results: ort.InferenceSession.ReturnType;
    try {
      results = await this.#session.run(feeds);
    } catch (cause) {
      throw new InferenceError(`Stage ${this.model.name} failed: ${String(cause)}`, { cause });
    }
    if (hasAttention) {
      const [newKeys, newValues] = [results["new_k"]!.data, results["new_v"]!.data];
      arena.append(
        newKeys as Float32Array,
        newValues as Float32Array,
        firstSlot,
        pastLengths,
        numNewTokens,
      );
    }
    return results;
  }
}

function rowIds(rows: readonly number[]): ort.Tensor {
  return new ort.Tensor("int64", BigInt64Array.from(rows, BigInt), [rows.length]);
}

/** Shape `[numSequences, 1, 1, numNewTokens, capacity + numNewTokens]`: own past, and causal among the new. */
function attentionMask(
  pastLengths: readonly number[],
  numNewTokens: number,
  capacity: number,
): ort.Tensor {
  const width = capacity + numNewTokens;
  const mask = new Float32Array(pastLengths.length * numNewTokens * width).fill(HIDDEN_SCORE);
  let row = 0;
  for (const past of pastLengths) {
    for (let token = 0; token < numNewTokens; token++, row += width) {
      mask.fill(0, row, row + past);
      mask.fill(0, row + capacity, row + capacity + token + 1);
    }
  }
  return new ort.Tensor("float32", mask, [pastLengths.length, 1, 1, numNewTokens, width]);
}
