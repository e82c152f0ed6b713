import { ModelLoadError } from "../errors.ts";
import { ggufFilesOf, ggufModelsOf } from "../files/gguf-parts.ts";
import type { GgufFiles } from "../files/gguf-parts.ts";

/** A file of a repository on the hub. */
export interface HubFile {
  /** Inside the repository, with slashes. */
  readonly path: string;
  readonly sizeBytes: number;
  /** Hex; the hub knows it of large files only. */
  readonly sha256: string | undefined;
}

/** What to download of a repository. */
export interface HubChoice {
  /** The model's path in the repository: a GGUF file, or empty for the repository as a folder. */
  readonly path: string;
  readonly files: readonly HubFile[];
}

const folderFileNames = new Set([
  "config.json",
  "generation_config.json",
  "tokenizer.json",
  "tokenizer_config.json",
  "chat_template.jinja",
  "model.safetensors.index.json",
]);
const weightFileName = "model.safetensors";
const shardFileName = /^model-\d+-of-\d+\.safetensors$/;

/**
 * Picks the file that was asked for, with all its parts; else the only GGUF model; else the folder of safetensors files.
 * @throws ModelLoadError listing what there is when that leaves none or several.
 */
export function chooseHubFiles(
  spec: string,
  all: readonly HubFile[],
  wanted: string | undefined,
): HubChoice {
  const models = ggufModelsOf(all.map(({ path }) => path));
  const list = models.map(({ path }) => path).join(", ");
  if (wanted !== undefined) {
    const isThere = /\.gguf$/i.test(wanted) && all.some(({ path }) => path === wanted);
    if (isThere) return choiceOf(spec, all, ggufFilesOf(wanted));
    throw new ModelLoadError(
      spec,
      `no such GGUF file in the repository, which has ${list || "none"}`,
    );
  }
  const [first] = models;
  if (first && models.length === 1) return choiceOf(spec, all, first);

  const single = all.filter(({ path }) => path === weightFileName);
  const weights = single.length ? single : all.filter(({ path }) => shardFileName.test(path));
  if (weights.length) {
    const others = all.filter(({ path }) => folderFileNames.has(path));
    return { path: "", files: [...others, ...weights] };
  }
  throw new ModelLoadError(
    spec,
    first
      ? `the repository has several GGUF models; add one of them after a colon: ${list}`
      : `expected a repository with a GGUF file or ${weightFileName}`,
  );
}

/** @throws ModelLoadError naming a part that the repository does not have */
function choiceOf(spec: string, all: readonly HubFile[], { path, parts }: GgufFiles): HubChoice {
  const files = parts.map((part) => {
    const file = all.find((candidate) => candidate.path === part);
    if (file) return file;
    throw new ModelLoadError(
      spec,
      `the repository has not all parts of the model: ${part} is missing`,
    );
  });
  return { path, files };
}
