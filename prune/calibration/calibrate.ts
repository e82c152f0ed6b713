import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { ArtifactError } from "../../model/errors.ts";
import type { ArtifactFile, ArtifactStore } from "../../model/experts/artifact-store.ts";
import type { ModelWeights } from "../../model/weights/config.ts";
import { buildTrunk, stageBorders } from "../../model/stages/model-stages.ts";
import { attentionFeeds } from "../../runtime/attention-feeds.ts";
import type { AttentionFeeds } from "../../runtime/attention-feeds.ts";
import { AttentionKinds } from "../../runtime/attention-kinds.ts";
import { StageSession } from "../../runtime/stage-session.ts";
import { CalibrationCheckpoint } from "./calibration-checkpoint.ts";
import type { CalibrationState } from "./calibration-checkpoint.ts";
import { CalibrationError, throwAsCalibrationError } from "../errors.ts";
import { LayerCalibration } from "./layer-calibration.ts";
import { packedMask } from "../packed-mask.ts";
import { layerFile, Profile, profileKey, readProfile } from "./profile.ts";
import type { CalibrationRecipe, ProfileInfo, Shard } from "./profile.ts";
import type { LayerStatistics } from "./statistics.ts";
import { packSequences } from "../token-batches.ts";
import type { TokenBatch } from "../token-batches.ts";

export interface CalibrationOptions {
  readonly recipe: CalibrationRecipe;
  /** Threads of one forward pass. */
  readonly numThreads: number;
  /** Sees only every `count`-th sequence, from `index` on. @default the whole corpus */
  readonly shard?: Shard;
  /** Seconds of work that may be lost when the process dies. @default 30 */
  readonly checkpointSeconds?: number;
  /** Called as work is done, in tokens times layers. */
  readonly onProgress?: (done: number, total: number) => void;
  /** Called with what happened to stored files. */
  readonly log?: (line: string) => void;
  /** Ends the run after the batch it is at, with its reason; the next run goes on from there. */
  readonly signal?: AbortSignal;
}

const defaultCheckpointSeconds = 30;

/**
 * Statistics of the input of every middle layer's output and down projection over a corpus, in the dense
 * model. A profile that the store has already is returned as it is; a run that was cut short goes on.
 *
 * Goes layer by layer, all tokens through one before the next, so that memory holds the weights and the
 * Gram matrices of one layer, and the hidden states of all tokens.
 *
 * @param sequences token ids, each no longer than the model's context
 * @throws CalibrationError, ModelLoadError, and the signal's reason
 */
export async function calibrate(
  weights: ModelWeights,
  sequences: readonly Uint32Array[],
  store: ArtifactStore,
  options: CalibrationOptions,
): Promise<Profile> {
  const info = describeRun(weights, sequences, options);
  const key = profileKey(info);
  try {
    const present = await readProfile(store, key);
    if (present !== null) return present;
  } catch (error) {
    if (!(error instanceof ArtifactError)) throw error;
    options.log?.(`${error.message}: calibrating again`);
    await store.remove(key);
  }
  const run = new CalibrationRun(weights, store, info, options);
  return run.finish(takeShard(sequences, options.shard)).catch(throwAsCalibrationError);
}

/** Every `count`-th sequence from `index` on. */
function takeShard(
  sequences: readonly Uint32Array[],
  shard: Shard | undefined,
): readonly Uint32Array[] {
  if (shard === undefined) return sequences;
  return sequences.filter((_, index) => index % shard.count === shard.index);
}

function describeRun(
  weights: ModelWeights,
  sequences: readonly Uint32Array[],
  { recipe, shard }: CalibrationOptions,
): ProfileInfo {
  const { config, contentHash } = weights;
  const hash = createHash("sha256");
  let numTokens = 0;
  for (const [index, ids] of sequences.entries()) {
    if (ids.length > config.contextLength) {
      throw new CalibrationError(
        `Sequence ${index} has ${ids.length} tokens, ` +
          `expected at most the model's ${config.contextLength}.`,
      );
    }
    hash.update(`${ids.length}\n`).update(ids);
    numTokens += ids.length;
  }
  const seen = takeShard(sequences, shard).some((ids) => ids.length > 0);
  if (!seen) {
    const part = shard === undefined ? "" : ` in shard ${shard.index + 1}/${shard.count}`;
    throw new CalibrationError(`There are no tokens to calibrate with${part}.`);
  }
  const { middle, head } = stageBorders(config);
  return {
    schemaVersion: 1,
    model: contentHash,
    corpus: { hash: hash.digest("hex"), numSequences: sequences.length, numTokens },
    recipe,
    shard: shard ?? null,
    firstLayer: middle,
    numLayers: head - middle,
  };
}

interface PreparedBatch {
  readonly batch: TokenBatch;
  /** The same in every layer. */
  readonly attention: AttentionFeeds;
}

class CalibrationRun {
  readonly #weights: ModelWeights;
  readonly #store: ArtifactStore;
  readonly #info: ProfileInfo;
  readonly #options: CalibrationOptions;
  readonly #checkpoint: CalibrationCheckpoint;
  /** Layers measured since the last checkpoint. */
  readonly #pending: { readonly layer: number; readonly statistics: LayerStatistics }[] = [];

  constructor(
    weights: ModelWeights,
    store: ArtifactStore,
    info: ProfileInfo,
    options: CalibrationOptions,
  ) {
    this.#weights = weights;
    this.#store = store;
    this.#info = info;
    this.#options = options;
    this.#checkpoint = new CalibrationCheckpoint(store, profileKey(info));
  }

  async finish(sequences: readonly Uint32Array[]): Promise<Profile> {
    const { checkpointSeconds = defaultCheckpointSeconds } = this.#options;
    const end = this.#info.firstLayer + this.#info.numLayers;
    const batches = this.#prepare(sequences);
    let savedMs = performance.now();
    let state =
      (await this.#checkpoint.load(this.#info.firstLayer)) ?? (await this.#runTrunk(batches));
    while (state.nextLayer < end) {
      state = await this.#runLayer(batches, state);
      const seconds = (performance.now() - savedMs) / 1000;
      if (seconds >= checkpointSeconds && state.nextLayer < end) {
        await this.#save(state);
        savedMs = performance.now();
      }
    }
    const key = profileKey(this.#info);
    // Another process that was at the same has removed the checkpoints when it had ended.
    const present = await readProfile(this.#store, key);
    if (present !== null) return present;
    const artifact = await this.#store.write(key, this.#info, this.#files());
    await this.#checkpoint.clear();
    return new Profile(artifact);
  }

  #prepare(sequences: readonly Uint32Array[]): PreparedBatch[] {
    const kinds = new AttentionKinds(this.#weights.config);
    return packSequences(sequences).map((batch) => ({
      batch,
      attention: attentionFeeds(kinds, { positions: batch.positions, mask: packedMask(batch) }),
    }));
  }

  async #runTrunk(batches: readonly PreparedBatch[]): Promise<CalibrationState> {
    const trunk = await StageSession.load(
      buildTrunk(this.#weights, this.#options.recipe.format),
      this.#options.numThreads,
    );
    const hidden: Float32Array[] = [];
    try {
      for (const { batch, attention } of batches) {
        this.#options.signal?.throwIfAborted();
        hidden.push(await trunk.hiddenAfter(batch.tokenIds, attention));
      }
    } finally {
      await trunk.release();
    }
    return { nextLayer: this.#info.firstLayer, hidden };
  }

  async #runLayer(
    batches: readonly PreparedBatch[],
    { nextLayer: layer, hidden }: CalibrationState,
  ): Promise<CalibrationState> {
    const { recipe, numThreads, signal, onProgress } = this.#options;
    const calibration = await LayerCalibration.load(this.#weights, {
      layer,
      numThreads,
      ...recipe,
    });
    const after: Float32Array[] = [];
    const layerTokens = batches.reduce((total, { batch }) => total + batch.tokenRows.length, 0);
    let done = (layer - this.#info.firstLayer) * layerTokens;
    try {
      for (const [index, { batch, attention }] of batches.entries()) {
        signal?.throwIfAborted();
        after.push(await calibration.run(hidden[index]!, attention, batch.tokenRows));
        done += batch.tokenRows.length;
        onProgress?.(done, this.#info.numLayers * layerTokens);
      }
      this.#pending.push({ layer, statistics: calibration.statistics() });
    } finally {
      await calibration.release();
    }
    return { nextLayer: layer + 1, hidden: after };
  }

  async #save(state: CalibrationState): Promise<void> {
    const files = this.#pending.map(({ layer, statistics }) => layerFile(layer, statistics));
    await this.#checkpoint.save(this.#pending[0]!.layer, files, state);
    this.#pending.length = 0;
  }

  /** The layers of all checkpoints, then those after. */
  *#files(): Iterable<ArtifactFile> {
    for (const artifact of this.#checkpoint.artifacts) {
      for (const name of artifact.fileNames) yield [name, createReadStream(artifact.path(name))];
    }
    for (const { layer, statistics } of this.#pending) yield layerFile(layer, statistics);
  }
}
