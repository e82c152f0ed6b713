import type { Profile } from "../../prune/calibration/profile.ts";
import { generalTask } from "../../prune/calibration/task-profiles.ts";
import type { CommandIo } from "../command-line.ts";
import { jsonText } from "./output.ts";
import type { CalibrateOptions } from "./prune-options.ts";
import { withTaskRun } from "./task-run.ts";

/** `seap prune calibrate` @throws ConfigError, another SeapError, and the signal's reason */
export async function calibrateTasks(
  options: CalibrateOptions & { readonly json: boolean },
  io: CommandIo,
  signal: AbortSignal,
): Promise<void> {
  const results = await withTaskRun(options, io, signal, async ({ tasks, profiles }) => {
    const calibrated: { readonly task: string; readonly profile: Profile }[] = [];
    for (const task of tasks) {
      const isGeneral = task === generalTask;
      const profile = await (isGeneral ? profiles.general() : profiles.profileOf(task));
      calibrated.push({ task, profile });
      if (!options.json) io.stdout(`${task}: ${describeProfile(profile)}\n`);
    }
    return calibrated;
  });
  if (options.json) {
    io.stdout(jsonText(results.map(({ task, profile }) => ({ task, ...profileJson(profile) }))));
  }
}

/** Key, size and what it was made from, in one line. */
export function describeProfile({ key, info, sizeBytes }: Profile): string {
  const { shard, corpus } = info;
  const part = shard === null ? "" : `part ${shard.index + 1}/${shard.count} of `;
  const tokens = corpus.numTokens.toLocaleString("en");
  const texts = corpus.numSequences.toLocaleString("en");
  return `${key} (${part}${tokens} tokens in ${texts} texts, ${(sizeBytes / 1e6).toFixed(1)} MB)`;
}

/** The same for machines. */
export function profileJson({ key, info, sizeBytes }: Profile): Record<string, unknown> {
  const { shard, corpus, model, recipe } = info;
  return {
    profile: key,
    // As people count, and as --shard takes it.
    shard: shard && `${shard.index + 1}/${shard.count}`,
    numTokens: corpus.numTokens,
    numSequences: corpus.numSequences,
    sizeBytes,
    model,
    recipe,
  };
}
