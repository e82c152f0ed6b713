import { createHash } from "node:crypto";
import { z } from "zod";
import { ArtifactError } from "../../model/errors.ts";
import { openSafetensorsFile } from "../../model/files/safetensors.ts";
import type { Artifact, ArtifactFile, ArtifactStore } from "../../model/experts/artifact-store.ts";
import { describeIssues } from "../../model/files/json-file.ts";
import { CalibrationError } from "../errors.ts";
import { decodeLayerStatistics, encodeLayerStatistics } from "./layer-statistics-file.ts";
import type { LayerStatistics } from "./statistics.ts";

/** Grows when what the numbers mean or how they are stored changes. */
export const profileSchemaVersion = 1;

const infoSchema = z.strictObject({
  schemaVersion: z.literal(profileSchemaVersion),
  /** Content hash of the model. */
  model: z.string(),
  /** Of the whole corpus, also in a shard's profile. */
  corpus: z.strictObject({
    hash: z.string(),
    numSequences: z.int().positive(),
    numTokens: z.int().positive(),
  }),
  recipe: z.strictObject({
    /** Weights of the dense model that the corpus ran through. */
    format: z.enum(["q8", "q4", "f32"]),
    /** The profile has Gram matrices. */
    withComoment: z.boolean(),
  }),
  /** The part of the corpus that was seen; null for all of it. */
  shard: z.strictObject({ index: z.int().nonnegative(), count: z.int().positive() }).nullable(),
  /** The first layer with statistics, and how many there are. */
  firstLayer: z.int().nonnegative(),
  numLayers: z.int().positive(),
});

/** What a profile was made from; it decides the profile's key. */
export type ProfileInfo = z.infer<typeof infoSchema>;

export type CalibrationRecipe = ProfileInfo["recipe"];

/** The part of a corpus that has index `index` of `count`, from 0. */
export type Shard = NonNullable<ProfileInfo["shard"]>;

/** Statistics of every middle layer over one corpus, read from the disk layer by layer. */
export class Profile {
  readonly key: string;
  readonly info: ProfileInfo;
  readonly sizeBytes: number;
  readonly #artifact: Artifact;

  /** @throws ArtifactError when the artifact is not a profile of this release. */
  constructor(artifact: Artifact) {
    const parsed = infoSchema.safeParse(artifact.metadata);
    if (!parsed.success) {
      throw new ArtifactError(
        artifact.key,
        `is no profile of this release: ${describeIssues(parsed.error)}`,
      );
    }
    this.key = artifact.key;
    this.info = parsed.data;
    this.sizeBytes = artifact.sizeBytes;
    this.#artifact = artifact;
  }

  /** @throws ArtifactError, ModelLoadError when the file is gone or of another form. */
  readLayer(layer: number): LayerStatistics {
    const path = this.#artifact.path(layerFileName(layer));
    const file = openSafetensorsFile(path);
    try {
      return decodeLayerStatistics(path, file);
    } finally {
      file.close();
    }
  }
}

/** Name of an artifact that holds what `info` describes. */
export function profileKey(info: ProfileInfo): string {
  const content = createHash("sha256")
    .update(JSON.stringify(infoSchema.parse(info)))
    .digest("hex");
  return `profile-${content.slice(0, 32)}`;
}

function layerFileName(layer: number): string {
  return `layer-${layer}.safetensors`;
}

export function layerFile(layer: number, statistics: LayerStatistics): ArtifactFile {
  return [layerFileName(layer), encodeLayerStatistics(statistics)];
}

/**
 * The stored profile, or null where there is none.
 * @throws ArtifactError when it is damaged or of another release: calibrate again.
 */
export async function readProfile(store: ArtifactStore, key: string): Promise<Profile | null> {
  const artifact = await store.read(key);
  return artifact && new Profile(artifact);
}

/**
 * The profile of the whole corpus from those of its shards, as if one run had seen all.
 * @throws CalibrationError unless these are all shards of one corpus, model and recipe.
 */
export async function mergeShards(
  store: ArtifactStore,
  shards: readonly Profile[],
): Promise<Profile> {
  const info = wholeInfo(shards.map((profile) => profile.info));
  const sorted = shards.toSorted((a, b) => a.info.shard!.index - b.info.shard!.index);
  function* layers(): Iterable<ArtifactFile> {
    for (let layer = info.firstLayer; layer < info.firstLayer + info.numLayers; layer++) {
      const [first, ...others] = sorted.map((profile) => profile.readLayer(layer));
      for (const { attention, mlp } of others) {
        first!.attention.merge(attention);
        first!.mlp.merge(mlp);
      }
      yield layerFile(layer, first!);
    }
  }
  return new Profile(await store.write(profileKey(info), info, layers()));
}

function wholeInfo(shards: readonly ProfileInfo[]): ProfileInfo {
  const [first] = shards;
  if (first === undefined) throw new CalibrationError("No shards to merge were given.");
  const indices = new Set<number>();
  for (const info of shards) {
    const { shard } = info;
    if (shard === null) throw new CalibrationError("A profile of a whole corpus is no shard.");
    for (const field of ["model", "corpus", "recipe", "firstLayer", "numLayers"] as const) {
      if (JSON.stringify(info[field]) !== JSON.stringify(first[field])) {
        throw new CalibrationError(
          `The shards are of different runs: ${field} is ${JSON.stringify(info[field])} in one ` +
            `and ${JSON.stringify(first[field])} in another.`,
        );
      }
    }
    if (shard.count !== first.shard!.count || indices.has(shard.index)) {
      throw new CalibrationError(
        `Expected each of ${first.shard!.count} shards once, ` +
          `got shard ${shard.index + 1}/${shard.count} as well.`,
      );
    }
    indices.add(shard.index);
  }
  const { count } = first.shard!;
  for (let index = 0; index < count; index++) {
    if (!indices.has(index)) throw new CalibrationError(`Shard ${index + 1}/${count} is missing.`);
  }
  return { ...first, shard: null };
}
