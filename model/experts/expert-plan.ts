import { z } from "zod";
import type { ModelConfig } from "../weights/config.ts";
import { numParameters } from "../weights/tensor-shapes.ts";
import { ModelLoadError } from "../errors.ts";
import { parseJson } from "../files/json-file.ts";
import { stageBorders } from "../stages/model-stages.ts";
import { denseShape } from "../weights/layer-spec.ts";
import type { LayerShape } from "../weights/layer-spec.ts";

const SCHEMA_VERSION = 1;

/** Indices without repetition, so that a list has one form. */
const ascending = z
  .array(z.int().min(0))
  .readonly()
  .refine((list) => list.every((index, i) => i === 0 || index > list[i - 1]!), {
    message: "expected ascending indices",
  });

const share = z.number().min(0).max(1);

const layerPlan = z.strictObject({
  /** Query heads. */
  keptHeads: ascending,
  keptKvHeads: ascending,
  /** MLP channels. */
  keptChannels: ascending,
});

const sparsities = z.strictObject({
  /** Share of query, key, value, output, gate, up and down in the layers between the protected ones. */
  middle: share,
  /** Share of query, key, value, output, gate, up and down in all layers. */
  blocks: share,
  /** Share of all weights, with embedding, LM head and norms. */
  model: share,
});

const expertPlan = z.strictObject({
  schemaVersion: z.literal(SCHEMA_VERSION),
  /** `contentHash` of the dense model's weights. */
  modelHash: z.string().min(1),
  /** Routing label; `general` for the plan over all tasks. */
  task: z.string().min(1),
  /** How the plan was made: method, target and whatever else decides the result. */
  recipe: z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()])).readonly(),
  /** One for each layer of the middle. */
  layers: z.array(layerPlan).readonly(),
  sparsity: sparsities,
});

/** What an expert keeps of each layer of the middle. With the model (and a profile) it is the expert. */
export type ExpertPlan = Readonly<z.infer<typeof expertPlan>>;

export type LayerPlan = Readonly<z.infer<typeof layerPlan>>;

/** True parameter sparsities: shares of weights that are gone. */
export type Sparsities = Readonly<z.infer<typeof sparsities>>;

/**
 * @param path for messages
 * @throws ModelLoadError when the text is no plan of this schema version, saying which field.
 */
export function parseExpertPlan(path: string, text: string): ExpertPlan {
  return parseJson(path, text, expertPlan);
}

/** One line of JSON per layer, so that two plans can be compared line by line. */
export function serializeExpertPlan(plan: ExpertPlan): string {
  const { layers, ...rest } = plan;
  const head = JSON.stringify(rest, null, 2).replace(/\n}$/, "");
  return `${head},\n  "layers": [\n${layers.map((layer) => `    ${JSON.stringify(layer)}`).join(",\n")}\n  ]\n}\n`;
}

/** Completes a plan. @param layers one for each layer of the middle */
export function createExpertPlan(
  model: { readonly config: ModelConfig; readonly contentHash: string },
  details: Pick<ExpertPlan, "task" | "recipe" | "layers">,
): ExpertPlan {
  return {
    schemaVersion: SCHEMA_VERSION,
    modelHash: model.contentHash,
    ...details,
    sparsity: sparsitiesOf(model.config, details.layers.map(planShape)),
  };
}

/**
 * Checks that a plan was made for this model and that the graph can run it.
 * @param path for messages
 * @throws ModelLoadError naming the layer and what is wrong.
 */
export function checkExpertPlan(
  path: string,
  plan: ExpertPlan,
  model: { readonly config: ModelConfig; readonly contentHash: string },
): void {
  const { config, contentHash } = model;
  const fail = (problem: string): never => {
    throw new ModelLoadError(path, problem);
  };
  if (plan.modelHash !== contentHash) {
    fail(`was made for model ${plan.modelHash}, expected ${contentHash}`);
  }
  const { middle, head } = stageBorders(config);
  if (plan.layers.length !== head - middle) {
    fail(`has ${plan.layers.length} layers, expected the ${head - middle} of the middle`);
  }
  for (const [i, layer] of plan.layers.entries()) {
    const name = `layers.${i}`;
    for (const [key, size] of [
      ["keptHeads", config.numHeads],
      ["keptKvHeads", config.numKvHeads],
      ["keptChannels", config.intermediateSize],
    ] as const) {
      const last = layer[key].at(-1) ?? 0;
      if (last >= size) fail(`${name}.${key}: expected indices below ${size}, got ${last}`);
    }
    const groupSize = config.numHeads / config.numKvHeads;
    const perKvHead = layer.keptHeads.length / layer.keptKvHeads.length;
    const sizes = layer.keptKvHeads.map(
      (kvHead) => layer.keptHeads.filter((h) => Math.floor(h / groupSize) === kvHead).length,
    );
    const evenly = sizes.every((size) => size > 0 && size === perKvHead);
    if (!evenly || (sizes.length === 0 && layer.keptHeads.length > 0)) {
      fail(
        `${name}: expected every kept KV head to keep the same number of its query heads, ` +
          `got heads ${layer.keptHeads.join(", ")} on KV heads ${layer.keptKvHeads.join(", ")}`,
      );
    }
  }
}

/** Widths of the middle's layers for `buildMiddle`. */
export function planShapes(plan: ExpertPlan): LayerShape[] {
  return plan.layers.map(planShape);
}

function planShape(layer: LayerPlan): LayerShape {
  return {
    numHeads: layer.keptHeads.length,
    numKvHeads: layer.keptKvHeads.length,
    intermediateSize: layer.keptChannels.length,
  };
}

function sparsitiesOf(config: ModelConfig, shapes: readonly LayerShape[]): Sparsities {
  const { numLayers, hiddenSize, headDim } = config;
  const parameters = ({ numHeads, numKvHeads, intermediateSize }: LayerShape) =>
    hiddenSize * (2 * headDim * (numHeads + numKvHeads) + 3 * intermediateSize);
  const dense = parameters(denseShape(config));
  const middle = shapes.length * dense;
  const removed = middle - shapes.reduce((sum, shape) => sum + parameters(shape), 0);
  const blocks = numLayers * dense;
  return {
    middle: removed / middle,
    blocks: removed / blocks,
    model: removed / numParameters(config),
  };
}
