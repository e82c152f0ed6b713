import { readFileSync } from "node:fs";
import { z } from "zod";
import type { Artifact, ArtifactFile } from "./artifact-store.ts";
import { parseExpertPlan, serializeExpertPlan } from "./expert-plan.ts";
import type { ExpertPlan } from "./expert-plan.ts";
import { ArtifactError } from "./errors.ts";
import { describeIssues } from "./json-file.ts";
import type { StageModel } from "./stage-graph.ts";

const SCHEMA_VERSION = 1;
const GRAPH_FILE = "middle.onnx";
const WEIGHTS_FILE = "weights.bin";
const PLAN_FILE = "plan.json";
/** Of each weight in its file. */
const ALIGNMENT = 64;

const size = z.int().nonnegative();

const metadataSchema = z.strictObject({
  schemaVersion: z.literal(SCHEMA_VERSION),
  stage: z.strictObject({
    name: z.string(),
    layers: z.array(
      z.strictObject({ numHeads: size, numKvHeads: size, intermediateSize: size }).readonly(),
    ),
    headDim: size,
    hiddenSize: size,
    vocabSize: size,
  }),
  /** In the order of the file, each at the next multiple of 64 bytes. */
  weights: z.array(z.strictObject({ name: z.string(), sizeBytes: size })),
});

export type ExpertMetadata = z.infer<typeof metadataSchema>;

/** An expert as it lies on disk: what it keeps, and its middle ready to be loaded. */
export interface StoredExpert {
  readonly plan: ExpertPlan;
  readonly middle: StageModel;
}

/** What an expert's artifact holds. */
export function expertArtifact({ plan, middle }: StoredExpert): {
  metadata: ExpertMetadata;
  files: ArtifactFile[];
} {
  const { name, layers, headDim, hiddenSize, vocabSize } = middle;
  const metadata: ExpertMetadata = {
    schemaVersion: SCHEMA_VERSION,
    stage: { name, layers: [...layers], headDim, hiddenSize, vocabSize },
    weights: Array.from(middle.weights, ([weight, { length }]) => ({
      name: weight,
      sizeBytes: length,
    })),
  };
  const files: ArtifactFile[] = [
    [PLAN_FILE, [Buffer.from(serializeExpertPlan(plan))]],
    [GRAPH_FILE, [middle.graph]],
    [WEIGHTS_FILE, aligned(middle.weights.values())],
  ];
  return { metadata, files };
}

/**
 * The expert of an artifact that the store has checked.
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
  const { stage, weights: index } = parsed.data;
  const graph = readFileSync(artifact.path(GRAPH_FILE));
  const bytes = readFileSync(artifact.path(WEIGHTS_FILE));
  const weights = new Map<string, Uint8Array>();
  let offset = 0;
  let sizeBytes = graph.length;
  for (const { name, sizeBytes: length } of index) {
    weights.set(name, bytes.subarray(offset, offset + length));
    offset = alignedEnd(offset + length);
    sizeBytes += length;
  }
  const planPath = artifact.path(PLAN_FILE);
  const plan = parseExpertPlan(planPath, readFileSync(planPath, "utf8"));
  return {
    plan,
    middle: { ...stage, hasEmbedding: false, hasHead: false, graph, weights, sizeBytes },
  };
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
