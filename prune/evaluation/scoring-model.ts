import * as ort from "onnxruntime-node";
import type { ModelConfig, ModelWeights } from "../../model/config.ts";
import { buildTrunk, stageBorders } from "../../model/model-stages.ts";
import type { WeightFormat } from "../../model/quantize.ts";
import { buildStage } from "../../model/stage-graph.ts";
import type { StageModel } from "../../model/stage-graph.ts";
import { attentionFeeds, hiddenScore, StageSession } from "../stage-session.ts";
import type { Feeds } from "../stage-session.ts";
import { LayerStage, MiddleChain } from "./layer-stage.ts";
import { packGroups } from "./scoring-batches.ts";
import type { ScoredSequence, ScoringBatch } from "./scoring-batches.ts";
import { buildScoring } from "./scoring-graph.ts";

/** Sums over the tokens of a sequence that count. */
export interface SequenceScore {
  readonly numTokens: number;
  /** Nats. */
  readonly logProb: number;
  /** Tokens that are the most likely ones. */
  readonly numTop: number;
  /** Kullback-Leibler divergence from the reference model to this one, nats; null without reference. */
  readonly kl: number | null;
  /** Tokens where both models' most likely ones are the same; null without reference. */
  readonly numAgreeing: number | null;
}

/** Hidden states after the last layer, of each batch's targets: `[numTargets, hiddenSize]`. */
export type ReferenceStates = readonly Float32Array[];

export interface ScoreOptions {
  /** Compare with the model that these are of. */
  readonly reference?: ReferenceStates;
  /** Called with tokens and groups read so far. */
  readonly onProgress?: (tokens: number, groups: number) => void;
  /** Ends the run after the batch it is at, with its reason. */
  readonly signal?: AbortSignal;
}

export interface ScoreResult {
  /** In the order of the groups and of their sequences. */
  readonly scores: readonly SequenceScore[];
  /** To compare other middles with. */
  readonly states: ReferenceStates;
}

/** Sequences ready to be scored by several middles. */
export interface PreparedSequences {
  readonly batches: readonly ScoringBatch[];
  readonly numSequences: number;
  readonly numTokens: number;
  /** Trunk output by batch, once computed, as it is the same for all middles. */
  readonly trunkOutputs: Map<ScoringBatch, Float32Array>;
}

/** Trunk outputs beyond this are computed anew for every middle. */
const maxTrunkBytes = 512 * 2 ** 20;
/** Rows of logits at a time: 25 MB each for a vocabulary of 50,000. */
const rowsPerChunk = 128;

/**
 * What all experts share, loaded once to score sequences: trunk, last layers, LM head. A middle of choice goes
 * between. Whole sequences in one pass, without a past.
 */
export class ScoringModel {
  readonly #weights: ModelWeights;
  readonly #options: { readonly format: WeightFormat; readonly numThreads: number };
  readonly #trunk: LayerStage;
  readonly #last: LayerStage;
  readonly #scoring: StageSession;
  #comparison: StageSession | null = null;

  private constructor(
    weights: ModelWeights,
    options: { readonly format: WeightFormat; readonly numThreads: number },
    sessions: { readonly trunk: LayerStage; readonly last: LayerStage; scoring: StageSession },
  ) {
    this.#weights = weights;
    this.#options = options;
    this.#trunk = sessions.trunk;
    this.#last = sessions.last;
    this.#scoring = sessions.scoring;
  }

  /** @param weights must stay open @throws CalibrationError when ONNX Runtime refuses a stage. */
  static async load(
    weights: ModelWeights,
    options: { readonly format: WeightFormat; readonly numThreads: number },
  ): Promise<ScoringModel> {
    const { format, numThreads } = options;
    const { head } = stageBorders(weights.config);
    const lastLayers = buildStage(weights, {
      name: "last-layers",
      firstLayer: head,
      numLayers: weights.config.numLayers - head,
      hasEmbedding: false,
      hasHead: false,
      format,
    });
    const trunk = await LayerStage.load(buildTrunk(weights, format), numThreads);
    const last = await LayerStage.load(lastLayers, numThreads);
    const scoring = await StageSession.load(
      buildScoring(weights, { format, withComparison: false }),
      numThreads,
    );
    return new ScoringModel(weights, options, { trunk, last, scoring });
  }

  /** The caller releases it. @throws CalibrationError when ONNX Runtime refuses a segment. */
  async loadMiddle(segments: readonly StageModel[]): Promise<MiddleChain> {
    return MiddleChain.load(segments, this.#options.numThreads);
  }

  prepare(groups: readonly (readonly ScoredSequence[])[]): PreparedSequences {
    const batches = packGroups(groups);
    return {
      batches,
      numSequences: groups.reduce((sum, group) => sum + group.length, 0),
      numTokens: batches.reduce((sum, { tokens }) => sum + tokens.length, 0),
      trunkOutputs: new Map(),
    };
  }

  /** @throws CalibrationError when a pass fails, and the signal's reason. */
  async score(
    prepared: PreparedSequences,
    middle: MiddleChain,
    { reference, onProgress, signal }: ScoreOptions = {},
  ): Promise<ScoreResult> {
    const scores = Array.from({ length: prepared.numSequences }, () => ({
      numTokens: 0,
      logProb: 0,
      numTop: 0,
      kl: reference ? 0 : null,
      numAgreeing: reference ? 0 : null,
    }));
    const states: Float32Array[] = [];
    let [tokens, groups] = [0, 0];
    for (const [index, batch] of prepared.batches.entries()) {
      signal?.throwIfAborted();
      const own = await this.#targetStates(prepared, batch, middle);
      states.push(own);
      const results = await this.#scoreRows(batch, own, reference?.[index]);
      for (const [target, sequence] of batch.targetSequences.entries()) {
        const score = scores[sequence]!;
        const top = results.top[target]!;
        score.numTokens += 1;
        score.logProb += results.logProb[target]!;
        if (top === Number(batch.targetIds[target])) score.numTop += 1;
        if (score.kl !== null) score.kl += results.kl[target]!;
        if (score.numAgreeing !== null && top === results.referenceTop[target]) {
          score.numAgreeing += 1;
        }
      }
      tokens += batch.tokens.length;
      groups += batch.numGroups;
      onProgress?.(tokens, groups);
    }
    return { scores, states };
  }

  async release(): Promise<void> {
    await this.#trunk.release();
    await this.#last.release();
    await this.#scoring.release();
    await this.#comparison?.release();
  }

  /** Shape `[numTargets, hiddenSize]`. */
  async #targetStates(
    prepared: PreparedSequences,
    batch: ScoringBatch,
    middle: MiddleChain,
  ): Promise<Float32Array> {
    const { hiddenSize } = this.#weights.config;
    const feeds = batchFeeds(this.#weights.config, batch);
    const dims = [1, batch.tokens.length];

    let hidden = prepared.trunkOutputs.get(batch);
    if (hidden === undefined) {
      const ids = new ort.Tensor("int64", batch.tokens.tokenIds, dims);
      hidden = await this.#trunk.run({ token_ids: ids }, feeds);
      const numBytes = (prepared.trunkOutputs.size + 1) * hidden.byteLength;
      if (numBytes <= maxTrunkBytes) prepared.trunkOutputs.set(batch, hidden);
    }
    const between = await middle.run(hidden, feeds);
    const after = await this.#last.run(
      { hidden: new ort.Tensor("float32", between, [...dims, hiddenSize]) },
      feeds,
    );
    const states = new Float32Array(batch.targetRows.length * hiddenSize);
    for (const [target, row] of batch.targetRows.entries()) {
      const start = Number(row) * hiddenSize;
      states.set(after.subarray(start, start + hiddenSize), target * hiddenSize);
    }
    return states;
  }

  async #scoreRows(batch: ScoringBatch, own: Float32Array, reference: Float32Array | undefined) {
    const { hiddenSize } = this.#weights.config;
    const numTargets = batch.targetIds.length;
    const session = reference ? await this.#loadComparison() : this.#scoring;
    const fetches = reference ? ["log_prob", "top", "kl", "reference_top"] : ["log_prob", "top"];
    const [logProb, top, kl, referenceTop] = Array.from(
      { length: 4 },
      () => new Float32Array(numTargets),
    ) as [Float32Array, Float32Array, Float32Array, Float32Array];
    const targets = { log_prob: logProb, top, kl, reference_top: referenceTop };
    for (let start = 0; start < numTargets; start += rowsPerChunk) {
      const end = Math.min(start + rowsPerChunk, numTargets);
      const rows = (states: Float32Array): ort.Tensor =>
        new ort.Tensor("float32", states.subarray(start * hiddenSize, end * hiddenSize), [
          end - start,
          hiddenSize,
        ]);
      const results = await session.run(
        {
          hidden: rows(own),
          targets: new ort.Tensor("int64", batch.targetIds.subarray(start, end), [end - start, 1]),
          ...(reference && { reference: rows(reference) }),
        },
        fetches,
      );
      for (const [name, values] of Object.entries(results)) {
        targets[name as keyof typeof targets].set(values, start);
      }
    }
    return { logProb, top, kl, referenceTop };
  }

  async #loadComparison(): Promise<StageSession> {
    const { format, numThreads } = this.#options;
    return (this.#comparison ??= await StageSession.load(
      buildScoring(this.#weights, { format, withComparison: true }),
      numThreads,
    ));
  }
}

/** Feeds of layers with attention, where branches do not see each other. */
function batchFeeds(config: ModelConfig, { tokens, branches }: ScoringBatch): Feeds {
  const feeds = attentionFeeds(config, tokens, 0);
  const mask = feeds["mask"]!.data as Float32Array; // [1, 1, 1, length, length]
  for (const { commonEnd, start, end } of branches) {
    for (let token = start; token < end; token++) {
      const row = token * tokens.length;
      mask.fill(hiddenScore, row + commonEnd, row + start);
    }
  }
  return feeds;
}
