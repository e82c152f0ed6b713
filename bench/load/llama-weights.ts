import { existsSync, statSync } from "node:fs";
import { mkdir, rename } from "node:fs/promises";
import { basename, join } from "node:path";
import type { LlamaTools } from "./llama-tools.ts";
import { runProgram } from "./run-program.ts";

/** Weights of a model as llama.cpp reads them. */
export interface LlamaWeights {
  /** `file` is the model as it came. */
  readonly format: string;
  readonly modelPath: string;
}

/**
 * The same weights in one of llama.cpp's formats, kept in the cache folder. Where the file has rounded weights already, these
 * are rounded once more.
 */
export async function llamaWeights(
  tools: LlamaTools,
  { modelPath, format, cacheDir }: LlamaWeights & { readonly cacheDir: string },
): Promise<LlamaWeights> {
  const folder = join(cacheDir, "llama.cpp", "weights");
  const name = `${basename(modelPath, ".gguf")}-${statSync(modelPath).size}`;
  const path = join(folder, `${name}.${format}.gguf`);
  if (!existsSync(path)) {
    await mkdir(folder, { recursive: true });
    const unfinished = `${path}.${process.pid}.part`;
    const args = ["--allow-requantize", modelPath, unfinished, format, "2"];
    const problem = await runProgram(tools.quantize, args);
    if (problem !== undefined) throw new Error(problem);
    await rename(unfinished, path);
  }
  return { format, modelPath: path };
}
