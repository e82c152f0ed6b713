import { parentPort, workerData } from "node:worker_threads";

import { ArtifactStore } from "../../model/experts/artifact-store.ts";
import { ArtifactError, SeapError } from "../../model/errors.ts";
import { expertBuffers, readExpert } from "../../model/experts/expert-artifact.ts";
import type { StageModel } from "../../model/stages/stage-spec.ts";
import type { BuiltExpert } from "../contract/experts.ts";

/** What this thread tells, once. */
export type ReaderMessage =
  | { readonly type: "read"; readonly segments: readonly StageModel[] }
  /** What an `ArtifactError` said. */
  | { readonly type: "damaged"; readonly path: string; readonly problem: string };

// A thread of its own: reading an expert and checking its checksums takes seconds, in which the engine's runs others.
const { storeDir, key } = workerData as Pick<BuiltExpert, "storeDir" | "key">;
try {
  const artifact = await new ArtifactStore(storeDir).read(key);
  if (artifact === null) throw new ArtifactError(`${storeDir}/${key}`, "is gone");
  const expert = readExpert(artifact);
  const message: ReaderMessage = { type: "read", segments: expert.segments };
  parentPort!.postMessage(message, expertBuffers(expert));
} catch (error) {
  // Whatever is wrong with an artifact, building it anew helps.
  if (!(error instanceof SeapError)) throw error;
  const path = "path" in error && typeof error.path === "string" ? error.path : storeDir;
  const problem = error.message.replace(`${path}: `, "");
  parentPort!.postMessage({ type: "damaged", path, problem } satisfies ReaderMessage);
}
