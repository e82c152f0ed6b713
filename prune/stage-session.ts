import * as ort from "onnxruntime-node";
import type { ModelConfig } from "../model/config.ts";
import type { GraphModel } from "../model/graph-builder.ts";
import { CalibrationError } from "./errors.ts";
import type { TokenBatch } from "./token-batches.ts";

export type Feeds = Readonly<Record<string, ort.Tensor>>;

/** A stage in ONNX Runtime that runs over whole sequences, without a past. */
export class StageSession {
  readonly #name: string;
  readonly #session: ort.InferenceSession;

  private constructor(name: string, session: ort.InferenceSession) {
    this.#name = name;
    this.#session = session;
  }

  /** @throws CalibrationError when ONNX Runtime refuses the stage. */
  static async load(
    model: GraphModel & { readonly name: string },
    numThreads: number,
  ): Promise<StageSession> {
    try {
      const session = await ort.InferenceSession.create(model.graph, {
        executionProviders: ["cpu"],
        intraOpNumThreads: numThreads,
        externalData: Array.from(model.weights, ([path, data]) => ({ path, data })),
        extra: { session: { force_spinning_stop: "1" } },
      });
      return new StageSession(model.name, session);
    } catch (cause) {
      throw new CalibrationError(`Stage ${model.name} could not be loaded: ${String(cause)}`, {
        cause,
      });
    }
  }

  /** @param fetches results that are copied out @throws CalibrationError when the pass fails. */
  async run(
    feeds: Feeds,
    fetches: readonly string[],
  ): Promise<Readonly<Record<string, Float32Array>>> {
    let results: ort.InferenceSession.ReturnType;
    try {
      results = await this.#session.run(feeds, fetches);
    } catch (cause) {
      throw new CalibrationError(`Stage ${this.#name} failed: ${String(cause)}`, { cause });
    }
    return Object.fromEntries(fetches.map((name) => [name, results[name]!.data as Float32Array]));
  }

  async release(): Promise<void> {
    await this.#session.release();
  }
}

/** Added to the score of a token that must not be seen. */
export const hiddenScore = -1e30;

/** What each layer's attention needs to know of a batch; its `numLayers` layers have no past. */
export function attentionFeeds(config: ModelConfig, batch: TokenBatch, numLayers: number): Feeds {
  const { numKvHeads, headDim, ropeInverseFrequencies } = config;
  const { numRows, length } = batch;
  const half = ropeInverseFrequencies.length;
  const angles = Float64Array.from(
    { length: length * half },
    (_, i) => Math.floor(i / half) * ropeInverseFrequencies[i % half]!,
  );
  const noPast = new Float32Array(0);
  const feeds: Record<string, ort.Tensor> = {
    position_ids: new ort.Tensor("int64", batch.positions, [numRows, length]),
    cos: new ort.Tensor("float32", Float32Array.from(angles, Math.cos), [length, half]),
    sin: new ort.Tensor("float32", Float32Array.from(angles, Math.sin), [length, half]),
    mask: new ort.Tensor("float32", causalMask(batch), [numRows, 1, 1, length, length]),
    score_split: new ort.Tensor("int64", BigInt64Array.of(0n, BigInt(length)), [2]),
  };
  for (let i = 0; i < numLayers; i++) {
    feeds[`past_k.${i}`] = new ort.Tensor("float32", noPast, [numRows, numKvHeads, 1, headDim, 0]);
    feeds[`past_v.${i}`] = new ort.Tensor("float32", noPast, [numRows, numKvHeads, 1, 0, headDim]);
  }
  return feeds;
}

/** A token sees itself and those before it in its own sequence. Shape `[numRows, length, length]`. */
function causalMask({ numRows, length, sequences }: TokenBatch): Float32Array {
  const mask = new Float32Array(numRows * length * length).fill(hiddenScore);
  for (let row = 0; row < numRows; row++) {
    let start = row * length; // of the sequence
    for (let token = row * length; token < (row + 1) * length; token++) {
      if (sequences[token] !== sequences[start]) start = token;
      const at = token * length - row * length;
      mask.fill(0, at + start, at + token + 1);
    }
  }
  return mask;
}
