import type { ModelWeights } from "../../model/weights/config.ts";
import { buildTrunk } from "../../model/stages/model-stages.ts";
import type { WeightFormat } from "../../model/weights/quantize.ts";
import { throwAsCalibrationError } from "../../prune/errors.ts";
import { packedMask } from "../../prune/packed-mask.ts";
import { packSequences } from "../../prune/token-batches.ts";
import { FeaturePool, meanEmbedding, numTrunkFeatures } from "../../router/features.ts";
import type { FeatureKind } from "../../router/router.ts";
import { attentionFeeds } from "../../runtime/attention-feeds.ts";
import { AttentionKinds } from "../../runtime/attention-kinds.ts";
import { StageSession } from "../../runtime/stage-session.ts";
import type { RoutedPrompt } from "./routed-prompt.ts";

/** Computes what routers decide by, of many prompts. */
export interface FeatureExtractor {
  /** Length of the features of a kind. */
  numFeatures(kind: FeatureKind): number;
  /**
   * @param onProgress called with the prompts done so far
   * @throws CalibrationError when a pass fails, and the signal's reason
   */
  extract(
    kind: FeatureKind,
    prompts: readonly RoutedPrompt[],
    options?: ExtractOptions,
  ): Promise<Float32Array[]>;
}

export interface ExtractOptions {
  readonly onProgress?: (done: number, total: number) => void;
  readonly signal?: AbortSignal;
}

/** Prompts of up to so many tokens share a pass; attention takes memory by the square of the longest. */
const packedTokens = 512;
const promptsPerPass = 32;

/** Runs a model's embedding and first layers. */
export class TrunkFeatures implements FeatureExtractor {
  readonly #weights: ModelWeights;
  readonly #trunk: StageSession;
  readonly #kinds: AttentionKinds;
  #embedding: Float32Array | null = null;

  private constructor(weights: ModelWeights, trunk: StageSession) {
    this.#weights = weights;
    this.#trunk = trunk;
    this.#kinds = new AttentionKinds(weights.config);
  }

  /** @param weights must stay open @throws CalibrationError when ONNX Runtime refuses the trunk. */
  static async load(
    weights: ModelWeights,
    { format, numThreads }: { readonly format: WeightFormat; readonly numThreads: number },
  ): Promise<TrunkFeatures> {
    const trunk = await StageSession.load(buildTrunk(weights, format), numThreads).catch(
      throwAsCalibrationError,
    );
    return new TrunkFeatures(weights, trunk);
  }

  numFeatures(kind: FeatureKind): number {
    const { hiddenSize } = this.#weights.config;
    return { trunk: numTrunkFeatures(hiddenSize), embedding: hiddenSize }[kind];
  }

  async extract(
    kind: FeatureKind,
    prompts: readonly RoutedPrompt[],
    { onProgress, signal }: ExtractOptions = {},
  ): Promise<Float32Array[]> {
    if (kind === "embedding") return prompts.map((prompt) => this.#meanEmbedding(prompt));
    const order = Array.from(prompts.keys()).sort(
      (a, b) => prompts[a]!.tokenIds.length - prompts[b]!.tokenIds.length,
    );
    const features: Float32Array[] = [];
    for (let start = 0; start < order.length;) {
      signal?.throwIfAborted();
      let end = start + 1;
      while (
        end < Math.min(order.length, start + promptsPerPass) &&
        prompts[order[end]!]!.tokenIds.length <= packedTokens
      ) {
        end += 1;
      }
      const indices = order.slice(start, end);
      const pools = await this.#run(indices.map((index) => prompts[index]!)).catch(
        throwAsCalibrationError,
      );
      for (const [i, index] of indices.entries()) features[index] = pools[i]!.features();
      start = end;
      onProgress?.(start, order.length);
    }
    return features;
  }

  async release(): Promise<void> {
    await this.#trunk.release();
  }

  async #run(prompts: readonly RoutedPrompt[]): Promise<FeaturePool[]> {
    const { hiddenSize } = this.#weights.config;
    const pools = prompts.map(({ spans }) => new FeaturePool(hiddenSize, spans));
    for (const batch of packSequences(prompts.map(({ tokenIds }) => tokenIds))) {
      const { tokenIds, positions, sequences } = batch;
      const attention = attentionFeeds(this.#kinds, { positions, mask: packedMask(batch) });
      const hidden = await this.#trunk.hiddenAfter(tokenIds, attention);
      // A prompt is all in one row.
      for (let start = 0; start < sequences.length;) {
        const owner = sequences[start]!;
        let end = start + 1;
        while (end < sequences.length && sequences[end] === owner) end += 1;
        if (owner >= 0) pools[owner]!.add(hidden.subarray(start * hiddenSize, end * hiddenSize));
        start = end;
      }
    }
    return pools;
  }

  #meanEmbedding({ tokenIds, spans }: RoutedPrompt): Float32Array {
    this.#embedding ??= this.#weights.readTensor("embedding");
    return meanEmbedding(this.#embedding, this.#weights.config.hiddenSize, tokenIds, spans);
  }
}
