import { basename } from "node:path";

/** One file of a GGUF model that llama.cpp has split, by its name: `model-00002-of-00003.gguf`. */
export interface GgufPart {
  /** What comes before the numbers. */
  readonly prefix: string;
  /** From 1. */
  readonly number: number;
  readonly count: number;
  readonly extension: string;
}

/** A GGUF model among other files. */
export interface GgufFiles {
  /** The file that stands for the model: the only one, or the first part. */
  readonly path: string;
  /** In order; a part that is not there is named all the same. */
  readonly parts: readonly string[];
}

/** @returns null for files that are no part of another */
export function partOfName(path: string): GgufPart | null {
  const [, prefix, digits, countDigits, extension] =
    /^(.*)-(\d{5})-of-(\d{5})(\.gguf)$/i.exec(path) ?? [];
  if (prefix === undefined || extension === undefined) return null;
  const [number, count] = [Number(digits), Number(countDigits)];
  return number >= 1 && number <= count ? { prefix, number, count, extension } : null;
}

export function partPath({ prefix, count, extension }: GgufPart, number: number): string {
  return `${prefix}${partEnding(number, count)}${extension}`;
}

/** What the name of a part ends in, without the extension. */
export function partEnding(number: number, count: number): string {
  return `-${digits(number)}-of-${digits(count)}`;
}

/** The name of a model without what says that the file is a GGUF file, or a part of one. */
export function modelNameOf(path: string): string {
  return basename(path).replace(/(-\d{5}-of-\d{5})?\.gguf$/i, "");
}

/** Projectors of images and sounds that belong to a model, and are none. */
const projector = /^mmproj[-_.]/i;

/** The GGUF models among some files, by the name of their first part. */
export function ggufModelsOf(paths: readonly string[]): GgufFiles[] {
  const models = new Map<string, GgufFiles>();
  for (const path of paths) {
    if (!/\.gguf$/i.test(path) || projector.test(basename(path))) continue;
    const model = ggufFilesOf(path);
    models.set(model.path, model);
  }
  return [...models.values()];
}

/** All files of the model that a file is of. */
export function ggufFilesOf(path: string): GgufFiles {
  const part = partOfName(path);
  if (part === null) return { path, parts: [path] };
  const parts = Array.from({ length: part.count }, (_, i) => partPath(part, i + 1));
  return { path: parts[0]!, parts };
}

function digits(number: number): string {
  return String(number).padStart(5, "0");
}
