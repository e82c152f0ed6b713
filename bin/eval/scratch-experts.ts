import { ArtifactStore } from "../../model/experts/artifact-store.ts";
import type { Artifact, ArtifactFile } from "../../model/experts/artifact-store.ts";

/**
 * A store whose new experts go to another folder: an evaluation makes a hundred of them, each of which is
 * wanted once. Those that were built before are read, and all else is written to the store.
 */
export class ScratchExperts extends ArtifactStore {
  readonly #scratch: ArtifactStore;

  /** @param scratchDir removed by the caller */
  constructor(store: ArtifactStore, scratchDir: string) {
    super(store.dir);
    this.#scratch = new ArtifactStore(scratchDir);
  }

  override async read(key: string): Promise<Artifact | null> {
    const present = await super.read(key);
    if (present !== null || !isExpert(key)) return present;
    return this.#scratch.read(key);
  }

  override write(
    key: string,
    metadata: unknown,
    files: Iterable<ArtifactFile> | AsyncIterable<ArtifactFile>,
  ): Promise<Artifact> {
    if (isExpert(key)) return this.#scratch.write(key, metadata, files);
    return super.write(key, metadata, files);
  }

  /** Does nothing to an expert of the store. */
  async discard(key: string): Promise<void> {
    await this.#scratch.remove(key);
  }
}

function isExpert(key: string): boolean {
  return key.startsWith("expert-");
}
