import type { Engine } from "../../engine/contract/request.ts";
import type { GenerationDefaults } from "../../model/text/generation-defaults.ts";
import type { LayerShape } from "../../model/weights/layer-spec.ts";
import type { RouterMap } from "../../router/router-map.ts";
import type { TextCodec } from "../text/codec.ts";
import type { ObservedBuilder } from "../experts/observed-builder.ts";
import { findTask } from "../routing/request-routing.ts";
import { ModelLoadingError, ModelNotFoundError, ServerStoppingError } from "../base/errors.ts";

export interface LoadedModel {
  /** First the id that answers carry, then its aliases. */
  readonly names: readonly [id: string, ...aliases: string[]];
  readonly engine: Engine;
  readonly codec: TextCodec;
  /** What holds where a request does not say how tokens are drawn. */
  readonly generationDefaults: GenerationDefaults;
  /** Tasks that clients may ask for. */
  readonly tasks: readonly string[];
  /** Null where there are none but dense. */
  readonly experts: ServedExperts | null;
  /** What experts are pruned of. */
  readonly middle: MiddleShape;
  /** Null as long as no router chooses, and where its strategy has none. */
  readonly routerMap: () => RouterMap | null;
  /** Cancels what is in flight. May be called twice. */
  close(): Promise<void>;
}

/** What the server knows of its experts besides the engine's snapshots. */
export interface ServedExperts {
  /** Budget of all of them together. */
  readonly memoryBytes: number;
  readonly builder: Pick<ObservedBuilder, "numBuilds">;
}

/** Layers between the protected ones, all of the same shape. */
export interface MiddleShape {
  /** Of the model, from 0. */
  readonly firstLayer: number;
  readonly layer: LayerShape;
}

/** What a client means by a model's name. */
export interface ResolvedName {
  /** The id that answers carry. */
  readonly id: string;
  /** Of `<name>:<task>`: null for none of the tasks, undefined without one. */
  readonly task: string | null | undefined;
}

/** The model that is served and whether it may be used: the one owner of that state. */
export class ModelService {
  #loaded: LoadedModel | undefined;
  #stopping = false;
  #progress = "";

  /** @param progress what is being done until the model is there, for a person */
  setProgress(progress: string): void {
    this.#progress = progress;
  }

  /** Present from the end of loading on, also while stopping. */
  get loaded(): LoadedModel | undefined {
    return this.#loaded;
  }

  setLoaded(model: LoadedModel): void {
    this.#loaded = model;
  }

  /** From now on no request is taken. */
  stop(): void {
    this.#stopping = true;
  }

  get isStopping(): boolean {
    return this.#stopping;
  }

  /**
   * @throws ModelLoadingError before the model is loaded.
   * @throws ServerStoppingError after `stop`.
   * @throws EngineRestartingError while the engine is being started anew, EngineStoppedError where it will not be.
   */
  ready(): LoadedModel {
    if (this.#stopping) throw new ServerStoppingError();
    if (this.#loaded === undefined) throw new ModelLoadingError(this.#progress);
    const { problem } = this.#loaded.engine;
    if (problem !== null) throw problem;
    return this.#loaded;
  }
}

/** Names that models are listed by: each of the model's, and one for each task. */
export function listedNames({ names, tasks }: LoadedModel): string[] {
  return [...names, ...tasks.map((task) => `${names[0]}:${task}`)];
}

/**
 * What is meant by the name a client used; absent means the only model.
 * @throws ModelNotFoundError when the name is not served.
 */
export function resolveModel(model: LoadedModel, name: string | undefined): ResolvedName {
  const { names, tasks } = model;
  const [id] = names;
  // Some clients send none as an empty text.
  if (!name || names.includes(name)) return { id, task: undefined };
  const colon = name.lastIndexOf(":");
  const task = findTask(tasks, name.slice(colon + 1));
  if (colon < 0 || task === undefined || !names.includes(name.slice(0, colon))) {
    throw new ModelNotFoundError(name, listedNames(model));
  }
  return { id, task };
}
