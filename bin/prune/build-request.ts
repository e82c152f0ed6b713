import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import type { BuildRequest } from "../../prune/experts/build-outcome.ts";
import { CorpusError } from "../../prune/errors.ts";
import type { BuildFlags } from "./prune-options.ts";
import { textLimits } from "./task-run.ts";

export interface RequestOptions extends Pick<
  BuildFlags,
  "method" | "weights" | "tokens" | "sparsity" | "maxLossIncrease"
> {
  /** Content hash of the model. */
  readonly model: string;
  /** Of {@link hashCorpora}. */
  readonly corpora: string;
}

/** What is built for a task, named before anything is calibrated. */
export function buildRequest(task: string, options: RequestOptions): BuildRequest {
  const { method, weights: format, tokens, sparsity, maxLossIncrease, model, corpora } = options;
  return {
    task,
    method,
    format,
    budget: maxLossIncrease === undefined ? { sparsity: sparsity! } : { maxLossIncrease },
    model,
    corpora,
    texts: { tokens, ...textLimits },
  };
}

/** @param paths of all tasks' corpora, by task @throws CorpusError when one cannot be read. */
export function hashCorpora(paths: ReadonlyMap<string, string>): string {
  const hash = createHash("sha256");
  for (const [task, path] of paths) {
    try {
      hash.update(`${task}\n`).update(readFileSync(path)).update("\n");
    } catch (cause) {
      const problem = (cause as Error).message;
      throw new CorpusError(`${path}: cannot be read (${problem})`, { cause });
    }
  }
  return hash.digest("hex");
}
