import { ArtifactError } from "../../model/errors.ts";
import type { Artifact, ArtifactFile, ArtifactStore } from "../../model/experts/artifact-store.ts";
import { openSafetensorsFile } from "../../model/files/safetensors.ts";
import { safetensorsChunks } from "../../model/files/safetensors-writer.ts";

/** Hidden states before a layer, one array per batch. */
export interface CalibrationState {
  readonly nextLayer: number;
  readonly hidden: readonly Float32Array[];
}

const hiddenFileName = "hidden.safetensors";

/** Layers `firstLayer` to `nextLayer`, without the latter. */
interface Piece {
  readonly firstLayer: number;
  readonly nextLayer: number;
  readonly artifact: Artifact;
}

/**
 * The finished part of a calibration that has not ended, in artifacts of its own: a chain of pieces, each
 * with the files of a few layers, and the hidden states where the last piece ends.
 */
export class CalibrationCheckpoint {
  readonly #store: ArtifactStore;
  readonly #prefix: string;
  readonly #pieces: Piece[] = [];

  constructor(store: ArtifactStore, profileKey: string) {
    this.#store = store;
    this.#prefix = `part-${profileKey}`;
  }

  /** The files of all layers that were saved or loaded, in order. */
  get artifacts(): readonly Artifact[] {
    return this.#pieces.map(({ artifact }) => artifact);
  }

  /** Writes the files of the layers from `firstLayer`, where the last piece ended, to `state`. */
  async save(
    firstLayer: number,
    files: readonly ArtifactFile[],
    { nextLayer, hidden }: CalibrationState,
  ): Promise<void> {
    const tensors = hidden.map((data, batch) => ({ name: `${batch}`, shape: [data.length], data }));
    const states: ArtifactFile = [hiddenFileName, safetensorsChunks(tensors, {})];
    // The states first: a piece without them would be of no use.
    await this.#store.write(this.#hiddenKey(nextLayer), null, [states]);
    const key = `${this.#prefix}-layers-${firstLayer}-${nextLayer}`;
    const artifact = await this.#store.write(key, null, files);
    this.#pieces.push({ firstLayer, nextLayer, artifact });
    await this.#store.remove(this.#hiddenKey(firstLayer));
  }

  /**
   * Where a run that was cut short ended, or null where there is none. Damaged pieces are removed.
   * @param firstLayer where its first piece begins
   */
  async load(firstLayer: number): Promise<CalibrationState | null> {
    for (;;) {
      const piece = await this.#longestPiece(this.#pieces.at(-1)?.nextLayer ?? firstLayer);
      if (piece === null) break;
      this.#pieces.push(piece);
    }
    for (; this.#pieces.length > 0; this.#pieces.pop()) {
      const { nextLayer } = this.#pieces.at(-1)!;
      const states = await this.#read(this.#hiddenKey(nextLayer));
      if (states !== null) return { nextLayer, hidden: readHidden(states) };
    }
    return null;
  }

  /** Removes everything, also what other runs of the same calibration have saved. */
  async clear(): Promise<void> {
    for (const key of await this.#keys()) await this.#store.remove(key);
  }

  async #longestPiece(firstLayer: number): Promise<Piece | null> {
    const start = `${this.#prefix}-layers-${firstLayer}-`;
    const ends = (await this.#keys())
      .filter((key) => key.startsWith(start))
      .map((key) => Number(key.slice(start.length)))
      .sort((a, b) => b - a);
    for (const nextLayer of ends) {
      const artifact = await this.#read(`${start}${nextLayer}`);
      if (artifact !== null) return { firstLayer, nextLayer, artifact };
    }
    return null;
  }

  async #keys(): Promise<readonly string[]> {
    return (await this.#store.keys()).filter((key) => key.startsWith(`${this.#prefix}-`));
  }

  async #read(key: string): Promise<Artifact | null> {
    try {
      return await this.#store.read(key);
    } catch (error) {
      if (!(error instanceof ArtifactError)) throw error;
      await this.#store.remove(key);
      return null;
    }
  }

  #hiddenKey(nextLayer: number): string {
    return `${this.#prefix}-hidden-${nextLayer}`;
  }
}

function readHidden(states: Artifact): Float32Array[] {
  const file = openSafetensorsFile(states.path(hiddenFileName));
  try {
    return file.tensorNames.map((_, batch) => file.readTensor(`${batch}`));
  } finally {
    file.close();
  }
}
