import { statSync } from "node:fs";
import { basename, dirname, resolve } from "node:path";
import { ArtifactStore } from "../../model/experts/artifact-store.ts";
import { CalibrationError } from "../../prune/errors.ts";
import { mergeShards, readProfile } from "../../prune/calibration/profile.ts";
import type { Profile } from "../../prune/calibration/profile.ts";
import { ConfigError } from "../../server/base/config-error.ts";
import type { CommandIo } from "../command-line.ts";
import { artifactStore, cacheFolder } from "../model-session.ts";
import { describeProfile, profileJson } from "./calibrate-tasks.ts";
import { jsonText } from "./output.ts";

/**
 * `seap prune merge`
 * @param sources keys of profiles in the store, or folders of profiles copied from other machines
 * @throws ConfigError, CalibrationError, ArtifactError
 */
export async function mergeProfiles(
  sources: readonly string[],
  options: { readonly cacheDir?: string | undefined; readonly json: boolean },
  io: CommandIo,
): Promise<void> {
  if (sources.length === 0) {
    throw new ConfigError("Expected the profiles of all shards. See seap prune merge --help.");
  }
  const store = artifactStore(cacheFolder(options.cacheDir, io.env));
  const shards: Profile[] = [];
  for (const source of sources) shards.push(await findProfile(store, source));
  const merged = await mergeShards(store, shards);
  io.stdout(options.json ? jsonText(profileJson(merged)) : `${describeProfile(merged)}\n`);
}

async function findProfile(store: ArtifactStore, source: string): Promise<Profile> {
  const isFolder = statSync(source, { throwIfNoEntry: false })?.isDirectory() ?? false;
  const path = resolve(source);
  const place = isFolder ? new ArtifactStore(dirname(path)) : store;
  const isKey = /^profile-[\w-]+$/.test(source);
  const profile = isFolder || isKey ? await readProfile(place, basename(path)) : null;
  if (profile !== null) return profile;
  throw new CalibrationError(
    `${source}: is neither a profile in ${store.dir} nor a folder with one.`,
  );
}
