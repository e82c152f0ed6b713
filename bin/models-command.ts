import { once } from "node:events";
import { findNamedModel, namedModels } from "../model/source/named-models.ts";
import { cachedShare, fetchPinnedModel, pinnedModelPath } from "../model/source/pinned-model.ts";
import type { PinnedModel } from "../model/source/pinned-model.ts";
import { sourceOptions } from "../model/source/source.ts";
import { ConfigError } from "../server/base/config-error.ts";
import type { CommandIo } from "./command-line.ts";
import { parseOptions } from "./command-options.ts";
import { interruptible } from "./interruption.ts";
import type { InterruptSource } from "./interruption.ts";
import { cacheFolder } from "./model-session.ts";
import { formatModels } from "./models/format-models.ts";
import type { ListedModel } from "./models/format-models.ts";
import { modelsHelp } from "./models/models-help.ts";
import { fetchSchema, listSchema } from "./models/models-options.ts";
import { ProgressBar } from "./progress-bar.ts";
import { jsonText } from "./prune/output.ts";

/**
 * `seap models`: shows the models that have a name, and fetches them.
 * @throws ConfigError, InterruptedError, ModelLoadError
 */
export async function runModelsCommand(
  args: readonly string[],
  io: CommandIo,
  signals: InterruptSource,
): Promise<void> {
  if (args.includes("--help") || args.includes("-h")) {
    io.stdout(modelsHelp());
    return;
  }
  const [command, ...rest] = args;
  if (command === "fetch") {
    const ended = "Ended. What was downloaded is kept: the same command goes on from there.";
    await interruptible(signals, ended, (signal) => fetchModels(rest, io, signal));
  } else if (command === undefined || command.startsWith("-")) {
    await listModels(args, io);
  } else {
    throw new ConfigError(
      `Expected fetch or nothing, got ${JSON.stringify(command)}. See seap models --help.`,
    );
  }
}

async function listModels(args: readonly string[], io: CommandIo): Promise<void> {
  const { options, json } = parseOptions("models", listSchema, args);
  const cacheDir = cacheFolder(options.cacheDir, io.env);
  const listed: ListedModel[] = [];
  for (const model of namedModels) {
    const share = await cachedShare(model, cacheDir);
    listed.push({ model, share, path: pinnedModelPath(model, cacheDir) });
  }
  io.stdout(json ? jsonText(listed.map(described)) : formatModels(listed));
}

async function fetchModels(
  args: readonly string[],
  io: CommandIo,
  signal: AbortSignal,
): Promise<void> {
  const parsed = parseOptions("models fetch", fetchSchema, args, { positionals: "any" });
  const { positionals: names, json } = parsed;
  const known = namedModels.map(({ name }) => name).join(", ");
  const models = names.map((name) => {
    const model = findNamedModel(name);
    if (model) return model;
    throw new ConfigError(`There is no model ${JSON.stringify(name)}; expected one of ${known}.`);
  });
  if (models.length === 0) throw new ConfigError(`Expected a name: one of ${known}.`);
  const { cacheDir, acceptLicense } = parsed.options;
  const progress = new ProgressBar({
    write: (text) => io.stderr(text),
    isTty: io.stderrIsTty === true,
  });
  for (const model of models) {
    const label = `${model.name} (${megabytes(model.sizeBytes)})`;
    const options = sourceOptions({
      env: io.env,
      cacheDir: cacheFolder(cacheDir, io.env),
      acceptedLicenses: acceptLicense,
      log: (line) => progress.line(line),
      onProgress: ({ receivedBytes, totalBytes }) =>
        progress.report(label, receivedBytes, totalBytes),
    });
    const path = await orAborted(fetchPinnedModel(model, options), signal);
    progress.end();
    io.stdout(json ? jsonText(described({ model, share: 1, path })) : `${path}\n`);
  }
}

/** What runs is not waited for when the signal comes: the process ends, and what is on the disk stays. */
async function orAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  const aborted = once(signal, "abort").then((): never => {
    throw signal.reason;
  });
  return Promise.race([work, aborted]);
}

function described({ model, share, path }: ListedModel) {
  const { name, title, quantisation, sizeBytes, sha256, license, hub, wheels } = model;
  return {
    name,
    title,
    quantisation,
    size_bytes: sizeBytes,
    sha256,
    license: license.name,
    license_url: license.url,
    sources: sourcesOf({ hub, wheels }),
    cached: share,
    path: share === 1 ? path : null,
  };
}

function sourcesOf({ hub, wheels }: Pick<PinnedModel, "hub" | "wheels">): string[] {
  const ofWheels = wheels.map(({ name, version }) => `pypi:${name}==${version}`);
  return [...(hub ? [`hf:${hub.repo}:${hub.path}`] : []), ...ofWheels];
}

function megabytes(bytes: number): string {
  return `${Math.round(bytes / 1e6)} MB`;
}
