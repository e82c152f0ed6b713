import { readFileSync } from "node:fs";
import { ArtifactError } from "../errors.ts";
import { describeIssues } from "../files/json-file.ts";
import { TensorFile } from "../files/tensor-file.ts";
import type { StageModel } from "../stages/stage-spec.ts";
import { tensorParts } from "../stages/stage-tensor.ts";
import type { Artifact, ArtifactFile, ArtifactStore } from "./artifact-store.ts";
import { parseExpertPlan, serializeExpertPlan } from "./expert-plan.ts";
import type { ExpertPlan } from "./expert-plan.ts";
import { expertSchema2, migrateExpert2 } from "./expert-schema-2.ts";
import { expertSchema, expertSchemaVersion } from "./expert-schema.ts";
import type { ExpertMetadata } from "./expert-schema.ts";
import { describeTensor, readSegment, segmentBytes } from "../stages/segment-file.ts";

const PLAN_FILE = "plan.json";
const weightsFile = (index: number): string => `weights-${index}.bin`;
/** A file of artifacts of schema 2. */
const graphFile = (index: number): string => `graph-${index}.onnx`;

/** An expert as it lies on disk: what it keeps, and its middle as any device can load it. */
export interface StoredExpert {
  readonly plan: ExpertPlan;
  /** Consecutive parts of the middle, each a stage of its own. */
  readonly segments: readonly StageModel[];
}

/** What an expert's artifact holds. */
export function expertArtifact({ plan, segments }: StoredExpert): {
  metadata: ExpertMetadata;
  files: ArtifactFile[];
} {
  const metadata: ExpertMetadata = {
    schemaVersion: expertSchemaVersion,
    segments: segments.map(({ spec, weights }) => ({
      spec,
      tensors: Array.from(weights, ([name, tensor]) => describeTensor(name, tensor)),
    })),
  };
  const files: ArtifactFile[] = [
    [PLAN_FILE, [Buffer.from(serializeExpertPlan(plan))]],
    ...segments.map(({ weights }, index): ArtifactFile => [
      weightsFile(index),
      segmentBytes(weights),
    ]),
  ];
  return { metadata, files };
}

/**
 * The expert of an artifact that the store has checked. The weights of a segment lie together in an ArrayBuffer of their
 * own: {@link expertBuffers} can be transferred to another thread.
 * @throws ArtifactError when it is none that this release can read.
 */
export function readExpert(artifact: Artifact): StoredExpert {
  const metadata = readMetadata(artifact);
  const planPath = artifact.path(PLAN_FILE);
  const plan = parseExpertPlan(planPath, readFileSync(planPath, "utf8"));
  const segments = metadata.segments.map(({ spec, tensors }, index) => {
    const path = artifact.path(weightsFile(index));
    const weights = readSegment(tensors, readBytes(path));
    if (weights === null) throw new ArtifactError(path, "has not the size of its weights");
    return { spec, weights };
  });
  return { plan, segments };
}

/**
 * What an expert keeps, without a look at its weights; null where there is no such artifact.
 * @throws ArtifactError, ModelLoadError
 */
export async function readStoredPlan(
  store: ArtifactStore,
  key: string,
): Promise<ExpertPlan | null> {
  const bytes = await store.readFile(key, PLAN_FILE);
  return bytes && parseExpertPlan(`${key}/${PLAN_FILE}`, Buffer.from(bytes).toString());
}

/** All memory that the segments of an expert from the disk lie in. */
export function expertBuffers({ segments }: StoredExpert): ArrayBuffer[] {
  const parts = segments.flatMap(({ weights }) => [...weights.values()].flatMap(tensorParts));
  return [...new Set(parts.map(([, { buffer }]) => buffer as ArrayBuffer))];
}

function readMetadata(artifact: Artifact): ExpertMetadata {
  const former = expertSchema2.safeParse(artifact.metadata);
  const migrated =
    former.success &&
    migrateExpert2(former.data, (index) => readBytes(artifact.path(graphFile(index))));
  const parsed = expertSchema.safeParse(migrated || artifact.metadata);
  if (parsed.success) return parsed.data;
  throw new ArtifactError(
    artifact.key,
    `is no expert of this release: ${describeIssues(parsed.error)}`,
  );
}

/** In memory of its own: what Node reads itself may share memory with other small files. */
function readBytes(path: string): Uint8Array<ArrayBuffer> {
  const file = new TensorFile(path);
  try {
    const bytes = new Uint8Array(file.sizeBytes);
    file.readBytes(0, bytes);
    return bytes;
  } finally {
    file.close();
  }
}
