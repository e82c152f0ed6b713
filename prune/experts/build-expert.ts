import type { Artifact, ArtifactStore } from "../../model/experts/artifact-store.ts";
import type { ModelWeights } from "../../model/weights/config.ts";
import { expertArtifact, readExpert } from "../../model/experts/expert-artifact.ts";
import type { StoredExpert } from "../../model/experts/expert-artifact.ts";
import { ArtifactError } from "../../model/errors.ts";
import { ExpertMaker } from "./expert-maker.ts";
import type { MakerOptions } from "./expert-maker.ts";
import type { ProfileSource } from "../calibration/profile-source.ts";

export interface BuildExpertOptions extends MakerOptions {
  /** Share of the middle's parameters to be removed, 0 to 1. */
  readonly target: number;
  /** Called as steps of the build end. */
  readonly onProgress?: (done: number, total: number) => void;
}

export interface ExpertBuild {
  readonly artifact: Artifact;
  /** Without the calibration. Null when it was in the store. */
  readonly buildSeconds: number | null;
}

/**
 * The artifact of an expert: from the store where it is, else calibrated, planned, built and written. Its key names
 * model, corpus and recipe. One that is damaged or of another release is built anew.
 * @param store of the expert, and of what can be used again for another target
 * @throws CalibrationError, CorpusError, and the signal's reason
 */
export async function buildExpert(
  weights: ModelWeights,
  profiles: ProfileSource,
  store: ArtifactStore,
  options: BuildExpertOptions,
): Promise<ExpertBuild> {
  const { target, onProgress = () => undefined } = options;
  const maker = await ExpertMaker.open(weights, profiles, store, options);
  const key = maker.keyOf(target);
  const present = await findExpert(store, key, options.log);
  if (present !== null) return { artifact: present, buildSeconds: null };
  await maker.thin((done, total) => onProgress(done, 2 * total));
  const expert = await maker.make(target, (done, total) => onProgress(total + done, 2 * total));
  return { artifact: await writeExpert(store, key, expert), buildSeconds: expert.buildSeconds };
}

/** An expert that is there whole and of this release, or null. Others are removed, with a line. */
export async function findExpert(
  store: ArtifactStore,
  key: string,
  log?: (line: string) => void,
): Promise<Artifact | null> {
  try {
    const present = await store.read(key);
    if (present !== null) readExpert(present);
    return present;
  } catch (error) {
    if (!(error instanceof ArtifactError)) throw error;
    log?.(`${error.message}: building it again`);
    await store.remove(key);
    return null;
  }
}

/** @throws ModelLoadError when the disk refuses. */
export async function writeExpert(
  store: ArtifactStore,
  key: string,
  expert: StoredExpert,
): Promise<Artifact> {
  const { metadata, files } = expertArtifact(expert);
  return store.write(key, metadata, files);
}

/** Name of the artifact that an expert has. Calibrates what is not calibrated yet. */
export async function expertKey(
  weights: ModelWeights,
  profiles: ProfileSource,
  store: ArtifactStore,
  options: BuildExpertOptions,
): Promise<string> {
  const maker = await ExpertMaker.open(weights, profiles, store, options);
  return maker.keyOf(options.target);
}
