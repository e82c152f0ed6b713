import { ModelLoadError } from "./errors.ts";

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
 * Picks the file that was asked for; else the only GGUF file; else the folder of safetensors files.
 * @throws ModelLoadError listing what there is when that leaves none or several.
 */
export function chooseHubFiles(
  spec: string,
  all: readonly HubFile[],
  wanted: string | undefined,
): HubChoice {
  const ggufFiles = all.filter(({ path }) => path.toLowerCase().endsWith(".gguf"));
  const list = ggufFiles.map(({ path }) => path).join(", ");
  if (wanted !== undefined) {
    const file = ggufFiles.find(({ path }) => path === wanted);
    if (file) return { path: file.path, files: [file] };
    throw new ModelLoadError(
      spec,
      `no such GGUF file in the repository, which has ${list || "none"}`,
    );
  }
  const [first] = ggufFiles;
  if (first && ggufFiles.length === 1) return { path: first.path, files: [first] };

  const single = all.filter(({ path }) => path === weightFileName);
  const weights = single.length ? single : all.filter(({ path }) => shardFileName.test(path));
  if (weights.length) {
    const others = all.filter(({ path }) => folderFileNames.has(path));
    return { path: "", files: [...others, ...weights] };
  }
  throw new ModelLoadError(
    spec,
    first
      ? `the repository has several GGUF files; add one of them after a colon: ${list}`
      : `expected a repository with a GGUF file or ${weightFileName}`,
  );
}
