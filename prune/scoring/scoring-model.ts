import type { ModelWeights } from "../../model/weights/config.ts";
import { buildTrunk, stageBorders } from "../../model/stages/model-stages.ts";
import type { WeightFormat } from "../../model/weights/quantize.ts";
import { buildStage } from "../../model/stages/build-stage.ts";
import type { StageModel } from "../../model/stages/stage-spec.ts";
import { attentionFeeds } from "../../runtime/attention-feeds.ts";
import type { AttentionFeeds } from "../../runtime/attention-feeds.ts";
import { AttentionKinds } from "../../runtime/attention-kinds.ts";
import { Session } from "../../runtime/session.ts";
import { StageSession } from "../../runtime/stage-session.ts";
import { tensor } from "../../runtime/tensor.ts";
import type { Tensor } from "../../runtime/tensor.ts";
import { throwAsCalibrationError } from "../errors.ts";
import { packedMask } from "../packed-mask.ts";
import { MiddleChain } from "./middle-chain.ts";
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

export interface ScoringOptions {
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
  readonly #kinds: AttentionKinds;
  readonly #trunk: StageSession;
  readonly #last: StageSession;
  readonly #scoring: Session;
  #comparison: Session | null = null;

  private constructor(
    weights: ModelWeights,
    options: { readonly format: WeightFormat; readonly numThreads: number },
    sessions: { readonly trunk: StageSession; readonly last: StageSession; scoring: Session },
  ) {
    this.#weights = weights;
    this.#options = options;
    this.#kinds = new AttentionKinds(weights.config);
    this.#trunk = sessions.trunk;
    this.#last = sessions.last;
    this.#scoring = sessions.scoring;
  }

  /** @param weights must stay open @throws CalibrationError when ONNX Runtime refuses a stage. */
  static async load(
    weights: ModelWeights,
    options: { readonly format: WeightFormat; readonly numThreads: number },
  ): Promise<ScoringModel> {
    const { format } = options;
    const { head } = stageBorders(weights.config);
    const lastLayers = buildStage(weights, {
      name: "last-layers",
      firstLayer: head,
      numLayers: weights.config.numLayers - head,
      hasEmbedding: false,
      hasHead: false,
      format,
    });
    const load = (stage: StageModel) =>
      StageSession.load(stage, options.numThreads).catch(throwAsCalibrationError);
    const trunk = await load(buildTrunk(weights, format));
    const last = await load(lastLayers);
    const scoring = await loadScoring(weights, { ...options, withComparison: false });
    return new ScoringModel(weights, options, { trunk, last, scoring });
  }

  /** The caller releases it. @throws CalibrationError when ONNX Runtime refuses a segment. */
  async loadMiddle(segments: readonly StageModel[]): Promise<MiddleChain> {
    return MiddleChain.load(segments, this.#options.numThreads).catch(throwAsCalibrationError);
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
    options: ScoringOptions = {},
  ): Promise<ScoreResult> {
    return this.#score(prepared, middle, options).catch(throwAsCalibrationError);
  }

  async release(): Promise<void> {
    await this.#trunk.release();
    await this.#last.release();
    await this.#scoring.release();
    await this.#comparison?.release();
  }

  async #score(
    prepared: PreparedSequences,
    middle: MiddleChain,
    { reference, onProgress, signal }: ScoringOptions,
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

  /** Shape `[numTargets, hiddenSize]`. */
  async #targetStates(
    prepared: PreparedSequences,
    batch: ScoringBatch,
    middle: MiddleChain,
  ): Promise<Float32Array> {
    const { hiddenSize } = this.#weights.config;
    const attention = this.#attentionOf(batch);
    let hidden = prepared.trunkOutputs.get(batch);
    if (hidden === undefined) {
      hidden = await this.#trunk.hiddenAfter(batch.tokens.tokenIds, attention);
      const numBytes = (prepared.trunkOutputs.size + 1) * hidden.byteLength;
      if (numBytes <= maxTrunkBytes) prepared.trunkOutputs.set(batch, hidden);
    }
    const between = await middle.run(hidden, attention);
    const after = await this.#last.hiddenAfter(between, attention);
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
      const rows = (states: Float32Array): Tensor =>
        tensor(states.subarray(start * hiddenSize, end * hiddenSize), [end - start, hiddenSize]);
      const results = await session.run(
        {
          hidden: rows(own),
          targets: tensor(batch.targetIds.subarray(start, end), [end - start, 1]),
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

  async #loadComparison(): Promise<Session> {
    const options = { ...this.#options, withComparison: true };
    return (this.#comparison ??= await loadScoring(this.#weights, options));
  }

  /** Of layers where branches do not see each other. */
  #attentionOf({ tokens, branches }: ScoringBatch): AttentionFeeds {
    const mask = packedMask(tokens);
    for (const { commonEnd, start, end } of branches) {
      for (let token = start; token < end; token++) mask.hide(token, commonEnd, start);
    }
    return attentionFeeds(this.#kinds, { positions: tokens.positions, mask });
  }
}

/** @throws CalibrationError when ONNX Runtime refuses the graph. */
async function loadScoring(
  weights: ModelWeights,
  options: {
    readonly format: WeightFormat;
    readonly numThreads: number;
    readonly withComparison: boolean;
  },
): Promise<Session> {
  const model = buildScoring(weights, options);
  const { numThreads } = options;
  return Session.load(model, { title: `Stage ${model.name}`, numThreads }).catch(
    throwAsCalibrationError,
  );
}
