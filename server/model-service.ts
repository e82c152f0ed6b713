import type { Engine } from "../engine/request.ts";
import type { TextCodec } from "./codec.ts";
import { ModelLoadingError, ModelNotFoundError, ServerStoppingError } from "./errors.ts";

export interface LoadedModel {
  /** First the id that answers carry, then its aliases. */
  readonly names: readonly [id: string, ...aliases: string[]];
  readonly engine: Engine;
  readonly codec: TextCodec;
}

/** The model that is served and whether it may be used: the one owner of that state. */
export class ModelService {
  #loaded: LoadedModel | undefined;
  #stopping = false;

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

  /**
   * @throws ModelLoadingError before the model is loaded.
   * @throws ServerStoppingError after `stop`.
   */
  ready(): LoadedModel {
    if (this.#stopping) throw new ServerStoppingError();
    if (this.#loaded === undefined) throw new ModelLoadingError();
    return this.#loaded;
  }
}

/**
 * The served id for the name a client used; absent means the only model.
 * @throws ModelNotFoundError when the name is not served.
 */
export function resolveModel({ names }: LoadedModel, name: string | undefined): string {
  if (name !== undefined && !names.includes(name)) throw new ModelNotFoundError(name, names);
  return names[0];
}
