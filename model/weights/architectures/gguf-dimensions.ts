import { z } from "zod";
import { ModelLoadError } from "../../errors.ts";
import type { GgufCheckpoint } from "../../files/gguf.ts";
import { describeIssues } from "../../files/json-file.ts";
import type { LayerTensorRole } from "../config.ts";
import { isProjection } from "../layer-spec.ts";
import type { ProjectionRole } from "../layer-spec.ts";
import { layerTensorName } from "../tensor-names.ts";
import type { ReadOptions } from "./architecture.ts";
import { checkedHeadDim, checkedRotarySize } from "./attention-shape.ts";
import { ggufTensors } from "./common-tensors.ts";
import type { ModelDimensions } from "./dimensions.ts";
import { ggufAngles } from "./gguf-rope.ts";
import { defaultRopeTheta } from "./hugging-face-rope.ts";

/** Counts in GGUF files are 32-bit as a rule, but some writers use 64 bits. */
const fromBigInt = (value: unknown): unknown => (typeof value === "bigint" ? Number(value) : value);
const size = z.preprocess(fromBigInt, z.int().positive());
const sizeOrNone = z.preprocess(fromBigInt, z.int().nonnegative());

/** Keys below the architecture's name. */
const ownSchema = z.looseObject({
  block_count: size,
  context_length: size,
  embedding_length: size,
  feed_forward_length: size,
  "attention.head_count": size,
  "attention.head_count_kv": size.optional(),
  "attention.key_length": size.optional(),
  "attention.value_length": size.optional(),
  "attention.layer_norm_rms_epsilon": z.number().positive(),
  "attention.sliding_window": sizeOrNone.optional(),
  expert_count: sizeOrNone.optional(),
  "rope.dimension_count": size.optional(),
  "rope.freq_base": z.number().positive().default(defaultRopeTheta),
  "rope.scaling.type": z.string().default("none"),
  "rope.scaling.factor": z.number().positive().optional(),
  "rope.scaling.original_context_length": size.optional(),
  "rope.scaling.attn_factor": z.number().positive().optional(),
  vocab_size: size.optional(),
});

const tokensSchema = z.looseObject({ "tokenizer.ggml.tokens": z.array(z.string()).optional() });

/**
 * What the metadata `<name>.*` say of a model.
 * @throws ModelLoadError when they are incomplete or ask for what is not supported.
 */
export function ggufDimensions(
  checkpoint: GgufCheckpoint,
  name: string,
  options: ReadOptions,
): ModelDimensions {
  const { path, metadata } = checkpoint;
  const fields = parse(path, ownFields(metadata, name), ownSchema, `${name}.`);
  const { "tokenizer.ggml.tokens": tokens } = parse(path, metadata, tokensSchema, "");
  if (fields.expert_count) {
    throw new ModelLoadError(path, "is a mixture of experts, which is not supported");
  }
  const hiddenSize = fields.embedding_length;
  const numHeads = fields["attention.head_count"];
  const numKvHeads = fields["attention.head_count_kv"] ?? numHeads;
  const headDim = checkedHeadDim(path, {
    hiddenSize,
    numHeads,
    numKvHeads,
    headDim: fields["attention.key_length"],
  });
  const valueDim = fields["attention.value_length"] ?? headDim;
  if (valueDim !== headDim) {
    throw new ModelLoadError(
      path,
      `${name}.attention.value_length is ${valueDim}, expected the head size ${headDim}`,
    );
  }
  const rotarySize = checkedRotarySize(path, headDim, fields["rope.dimension_count"] ?? headDim);
  const vocabSize = tokens?.length ?? fields.vocab_size;
  if (!vocabSize) {
    throw new ModelLoadError(
      path,
      `metadata: expected tokenizer.ggml.tokens or ${name}.vocab_size`,
    );
  }
  return {
    numLayers: fields.block_count,
    ...{ hiddenSize, numHeads, numKvHeads, headDim, vocabSize },
    intermediateSize: fields.feed_forward_length,
    contextLength: fields.context_length,
    rmsNormEps: fields["attention.layer_norm_rms_epsilon"],
    slidingWindow: fields["attention.sliding_window"] || null,
    rotarySize,
    rotary: ggufAngles(checkpoint, {
      name,
      rotarySize,
      theta: fields["rope.freq_base"],
      scalingType: fields["rope.scaling.type"],
      scalingFactor: fields["rope.scaling.factor"],
      originalLength: fields["rope.scaling.original_context_length"],
      attentionFactor: fields["rope.scaling.attn_factor"],
      contextLength: options.contextLength ?? fields.context_length,
    }),
    tiedEmbeddings: checkpoint.tensorShape(ggufTensors.model.lmHead) === undefined,
  };
}

/** A number of the metadata by its whole key. @throws ModelLoadError when it is none */
export function ggufField(checkpoint: GgufCheckpoint, key: string, byDefault: number): number {
  const { path, metadata } = checkpoint;
  const fields = parse(
    path,
    metadata,
    z.looseObject({ [key]: z.number().positive().optional() }),
    "",
  );
  return fields[key] ?? byDefault;
}

/** The projections that have a bias, by the tensors of the first layer. */
export function ggufBiases(checkpoint: GgufCheckpoint): ProjectionRole[] {
  const roles = (Object.keys(ggufTensors.layer) as LayerTensorRole[]).filter(isProjection);
  return roles.filter(
    (role) => checkpoint.tensorShape(layerTensorName(ggufTensors, 0, `${role}Bias`)) !== undefined,
  );
}

/** The metadata of an architecture, without its name before their keys. */
function ownFields(
  metadata: GgufCheckpoint["metadata"],
  name: string,
): Readonly<Record<string, unknown>> {
  const prefix = `${name}.`;
  const own = Object.entries(metadata).filter(([key]) => key.startsWith(prefix));
  return Object.fromEntries(own.map(([key, value]) => [key.slice(prefix.length), value]));
}

function parse<T extends z.ZodType>(
  path: string,
  value: unknown,
  schema: T,
  prefix: string,
): z.infer<T> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new ModelLoadError(path, `metadata: ${prefix}${describeIssues(parsed.error)}`);
}
