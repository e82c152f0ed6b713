import type { ArtifactStore } from "../../model/experts/artifact-store.ts";
import type { ModelWeights } from "../../model/weights/config.ts";
import { calibrate } from "./calibrate.ts";
import type { ScoredSequence } from "../scoring/scoring-batches.ts";
import type { Profile, Shard } from "./profile.ts";
import type { ProfileSource } from "./profile-source.ts";
import { TaskTexts } from "../tasks/task-texts.ts";
import type { TaskTextsOptions } from "../tasks/task-texts.ts";

export interface TaskProfilesOptions extends Omit<TaskTextsOptions, "model" | "onProgress"> {
  /** Tokens to calibrate with. @default 32,000 */
  readonly tokensPerTask?: number;
  readonly numThreads: number;
  /** Calibrates with every `count`-th sequence only, from `index` on. @default all */
  readonly shard?: Shard;
  readonly onProgress?: (
    phase: TaskProfilesPhase,
    task: string,
    done: number,
    total: number,
  ) => void;
}

/** `write`: the dense model writes answers; `calibrate`: it reads the corpus. */
export type TaskProfilesPhase = "write" | "calibrate";

/** Fewer come from one or two texts. */
const minHeldOutTokens = 2000;
/** Name of what is for all tasks. */
export const generalTask = "general";

/** Profiles of tasks from their corpora, each calibrated once. */
export class TaskProfiles implements ProfileSource {
  readonly #weights: ModelWeights;
  readonly #store: ArtifactStore;
  readonly #options: TaskProfilesOptions;
  readonly #texts: TaskTexts;
  readonly #tokensPerTask: number;
  readonly #profiles = new Map<string, Promise<Profile>>();
  /** By share of a task's tokens. */
  readonly #general = new Map<number, Promise<Profile>>();

  /** @param weights must stay open */
  constructor(weights: ModelWeights, store: ArtifactStore, options: TaskProfilesOptions) {
    this.#weights = weights;
    this.#store = store;
    this.#options = options;
    this.#tokensPerTask = options.tokensPerTask ?? 32_000;
    const { onProgress } = options;
    this.#texts = new TaskTexts(store, {
      ...options,
      model: weights.contentHash,
      onProgress: (task, done, total) => onProgress?.("write", task, done, total),
    });
  }

  get tasks(): readonly string[] {
    return this.#texts.tasks;
  }

  async profileOf(task: string): Promise<Profile> {
    let profile = this.#profiles.get(task);
    if (profile === undefined) {
      profile = this.#texts
        .calibration(task, this.#tokensPerTask)
        .then((sequences) => this.#calibrate(task, sequences));
      this.#profiles.set(task, profile);
    }
    return profile;
  }

  async general(share = 1): Promise<Profile> {
    let profile = this.#general.get(share);
    if (profile === undefined) {
      profile = this.#calibrateAll(Math.ceil(share * this.#tokensPerTask));
      this.#general.set(share, profile);
    }
    return profile;
  }

  /**
   * Texts to judge an expert with: where there is a writer a quarter of the calibration's tokens, and at least
   * 2,000.
   * @param task or {@link generalTask}, for equal parts of all tasks
   * @throws CorpusError when too few rows are held out.
   */
  async heldOut(task: string): Promise<readonly ScoredSequence[]> {
    const minTokens = Math.max(minHeldOutTokens, Math.ceil(this.#tokensPerTask / 4));
    if (task !== generalTask) return this.#texts.heldOut(task, minTokens);
    const sequences: ScoredSequence[] = [];
    for (const each of this.tasks) {
      sequences.push(...(await this.#texts.heldOut(each, minTokens / this.tasks.length)));
    }
    return sequences;
  }

  async #calibrateAll(numTokens: number): Promise<Profile> {
    const tokensPerPart = Math.ceil(numTokens / this.tasks.length);
    const sequences: Uint32Array[] = [];
    for (const task of this.tasks) {
      sequences.push(...(await this.#texts.calibration(task, tokensPerPart)));
    }
    return this.#calibrate(generalTask, sequences);
  }

  async #calibrate(task: string, sequences: readonly Uint32Array[]): Promise<Profile> {
    const { numThreads, shard, onProgress, log, signal } = this.#options;
    return calibrate(this.#weights, sequences, this.#store, {
      // Faster than 8-bit weights where the CPU has no instructions for those, and exact.
      recipe: { format: "f32", withComoment: true },
      numThreads,
      ...(shard && { shard }),
      ...(log && { log }),
      ...(signal && { signal }),
      onProgress: (done, total) => onProgress?.("calibrate", task, done, total),
    });
  }
}
