import { readFileSync } from "node:fs";
import { z } from "zod";
import type { Artifact, ArtifactFile, ArtifactStore } from "./artifact-store.ts";
import { parseExpertPlan, serializeExpertPlan } from "./expert-plan.ts";
import type { ExpertPlan } from "./expert-plan.ts";
import { ArtifactError } from "../errors.ts";
import { describeIssues } from "../files/json-file.ts";
import type { StageModel } from "../graph/stage-graph.ts";
import { TensorFile } from "../files/tensor-file.ts";

const SCHEMA_VERSION = 2;
const PLAN_FILE = "plan.json";
const graphFile = (index: number): string => `graph-${index}.onnx`;
const weightsFile = (index: number): string => `weights-${index}.bin`;
/** Of each weight in its file. */
const ALIGNMENT = 64;

const size = z.int().nonnegative();

const segmentSchema = z.strictObject({
  name: z.string(),
  layers: z.array(
    z.strictObject({ numHeads: size, numKvHeads: size, intermediateSize: size }).readonly(),
  ),
  headDim: size,
  hiddenSize: size,
  vocabSize: size,
  /** In the order of the file, each at the next multiple of 64 bytes. */
  weights: z.array(z.strictObject({ name: z.string(), sizeBytes: size })),
});

const metadataSchema = z.strictObject({
  schemaVersion: z.literal(SCHEMA_VERSION),
  segments: z.array(segmentSchema).min(1),
});

export type ExpertMetadata = z.infer<typeof metadataSchema>;

/** An expert as it lies on disk: what it keeps, and its middle ready to be loaded. */
export interface StoredExpert {
  readonly plan: ExpertPlan;
  /** Consecutive parts of the middle, each a session of its own. */
  readonly segments: readonly StageModel[];
}

/** What an expert's artifact holds. */
export function expertArtifact({ plan, segments }: StoredExpert): {
  metadata: ExpertMetadata;
  files: ArtifactFile[];
} {
  const metadata: ExpertMetadata = {
    schemaVersion: SCHEMA_VERSION,
    segments: segments.map(({ name, layers, headDim, hiddenSize, vocabSize, weights }) => ({
      name,
      layers: [...layers],
      headDim,
      hiddenSize,
      vocabSize,
      weights: Array.from(weights, ([weight, { length }]) => ({ name: weight, sizeBytes: length })),
    })),
  };
  const files: ArtifactFile[] = [
    [PLAN_FILE, [Buffer.from(serializeExpertPlan(plan))]],
    ...segments.flatMap(({ graph, weights }, index): ArtifactFile[] => [
      [graphFile(index), [graph]],
      [weightsFile(index), aligned(weights.values())],
    ]),
  ];
  return { metadata, files };
}

/**
 * The expert of an artifact that the store has checked. A segment's graph lies in an ArrayBuffer of its own and so do
 * its weights together: {@link expertBuffers} can be transferred to another thread.
 * @throws ArtifactError when it is none of this release.
 */
export function readExpert(artifact: Artifact): StoredExpert {
  const parsed = metadataSchema.safeParse(artifact.metadata);
  if (!parsed.success) {
    throw new ArtifactError(
      artifact.key,
      `is no expert of this release: ${describeIssues(parsed.error)}`,
    );
  }
  const planPath = artifact.path(PLAN_FILE);
  const plan = parseExpertPlan(planPath, readFileSync(planPath, "utf8"));
  const segments = parsed.data.segments.map((segment, index) => {
    const graph = readBytes(artifact.path(graphFile(index)));
    const bytes = readBytes(artifact.path(weightsFile(index)));
    return readSegment(segment, graph, bytes);
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
  const views = segments.flatMap(({ graph, weights }) => [graph, ...weights.values()]);
  return [...new Set(views.map(({ buffer }) => buffer as ArrayBuffer))];
}

function readSegment(
  { weights: index, ...stage }: z.infer<typeof segmentSchema>,
  graph: Uint8Array,
  bytes: Uint8Array,
): StageModel {
  const weights = new Map<string, Uint8Array>();
  let offset = 0;
  let sizeBytes = graph.length;
  for (const { name, sizeBytes: length } of index) {
    weights.set(name, bytes.subarray(offset, offset + length));
    offset = alignedEnd(offset + length);
    sizeBytes += length;
  }
  return { ...stage, hasEmbedding: false, hasHead: false, graph, weights, sizeBytes };
}

/** In memory of its own: what Node reads itself may share memory with other small files. */
function readBytes(path: string): Uint8Array {
  const file = new TensorFile(path);
  try {
    const bytes = new Uint8Array(file.sizeBytes);
    file.readBytes(0, bytes);
    return bytes;
  } finally {
    file.close();
  }
}

function* aligned(weights: Iterable<Uint8Array>): Generator<Uint8Array> {
  for (const bytes of weights) {
    yield bytes;
    const padding = alignedEnd(bytes.length) - bytes.length;
    if (padding > 0) yield new Uint8Array(padding);
  }
}

function alignedEnd(offset: number): number {
  return Math.ceil(offset / ALIGNMENT) * ALIGNMENT;
}
