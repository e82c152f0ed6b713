import { z } from "zod";
import type { StageSpec } from "../stages/stage-spec.ts";
import { storedTensorSchema } from "../stages/segment-file.ts";

/**
 * Grows when what is stored gets another meaning. A field that a layer or a stage gets later has a default that means
 * what was meant before, so that what is stored without it stays valid.
 */
export const expertSchemaVersion = 3;

const size = z.int().nonnegative();

const projection = z.literal(["query", "key", "value", "output", "gate", "up", "down"]);

const norm = z.literal([
  "attentionNorm",
  "queryNorm",
  "keyNorm",
  "attentionPostNorm",
  "mlpNorm",
  "mlpPostNorm",
]);

const layerSchema = z.strictObject({
  norms: z.array(norm).readonly(),
  biases: z.array(projection).readonly(),
  activation: z.literal(["silu", "gelu-tanh"]),
  rotary: z.strictObject({ table: size, size, isInterleaved: z.boolean() }).readonly(),
  window: size.nullable(),
  scoreScale: z.number(),
  residualScale: z.number(),
  numHeads: size,
  numKvHeads: size,
  intermediateSize: size,
});

const stageSchema = z.strictObject({
  name: z.string(),
  firstLayer: size,
  layers: z.array(layerSchema.readonly()).readonly(),
  headDim: size,
  hiddenSize: size,
  vocabSize: size,
  rmsNormEps: z.number(),
  embeddingScale: z.number().default(1),
  logitScale: z.number().default(1),
  hasEmbedding: z.boolean(),
  hasHead: z.boolean(),
  isContinued: z.boolean(),
}) satisfies z.ZodType<StageSpec>;

/** What an expert's artifact says of its segments, whose weights lie in a file each. */
export const expertSchema = z.strictObject({
  schemaVersion: z.literal(expertSchemaVersion),
  segments: z
    .array(z.strictObject({ spec: stageSchema, tensors: z.array(storedTensorSchema) }))
    .min(1),
});

export type ExpertMetadata = z.infer<typeof expertSchema>;
