import { z } from "zod";
import { plainLayer } from "../weights/layer-spec.ts";
import type { LayerShape } from "../weights/layer-spec.ts";
import { QUANT_BLOCK_SIZE } from "../weights/quantize.ts";
import { expertSchemaVersion } from "./expert-schema.ts";
import type { ExpertMetadata } from "./expert-schema.ts";
import type { SegmentTensor } from "../stages/segment-file.ts";

// The schema before: Llama's layers, with a graph beside the weights of each segment. The weights lie as they do now.

const size = z.int().nonnegative();

const segmentSchema = z.strictObject({
  name: z.string(),
  layers: z.array(
    z.strictObject({ numHeads: size, numKvHeads: size, intermediateSize: size }).readonly(),
  ),
  headDim: size,
  hiddenSize: size,
  vocabSize: size,
  /** Arrays in the order of the file: each tensor's, then its scales and zero points where it is quantised. */
  weights: z.array(z.strictObject({ name: z.string(), sizeBytes: size })),
});

type Segment = z.infer<typeof segmentSchema>;

export const expertSchema2 = z.strictObject({
  schemaVersion: z.literal(2),
  segments: z.array(segmentSchema).min(1),
});

/**
 * What the metadata would be now.
 * @param readGraph reads the ONNX graph of a segment
 * @returns null when it does not follow from what is there: an expert of which hardly anything is left
 */
export function migrateExpert2(
  { segments }: z.infer<typeof expertSchema2>,
  readGraph: (index: number) => Uint8Array,
): ExpertMetadata | null {
  let firstLayer = firstLayerOf(segments);
  const graphs = segments.map((_, index) => Buffer.from(readGraph(index)));
  const rmsNormEps = firstFound(graphs, epsilonOf);
  if (firstLayer === null || rmsNormEps === null) return null;
  // Without attention nothing is turned.
  const isInterleaved = firstFound(graphs, interleavingOf) ?? false;
  const migrated: ExpertMetadata["segments"] = [];
  for (const [index, { weights, layers: shapes, ...stage }] of segments.entries()) {
    const description = plainLayer({ headDim: stage.headDim, isInterleaved });
    const layers = shapes.map((shape) => ({ ...description, ...shape }));
    migrated.push({
      spec: {
        ...stage,
        ...{ firstLayer, layers, rmsNormEps, embeddingScale: 1, logitScale: 1 },
        ...{ hasEmbedding: false, hasHead: false, isContinued: index > 0 },
      },
      tensors: tensorsOf({ weights, layers: shapes, ...stage }, firstLayer),
    });
    firstLayer += shapes.length;
  }
  return { schemaVersion: expertSchemaVersion, segments: migrated };
}

/** Place in the model of the first segment's first layer: of a layer that has one, the weights say it. */
function firstLayerOf(segments: readonly Segment[]): number | null {
  const shapes = segments.flatMap(({ layers }) => layers);
  const index = shapes.findIndex((shape) => shape.numHeads > 0 || shape.intermediateSize > 0);
  for (const { name } of segments.flatMap(({ weights }) => weights)) {
    const layer = /^layers\.(\d+)\.\w+Norm$/.exec(name)?.[1];
    if (layer !== undefined) return Number(layer) - index;
  }
  return null;
}

function tensorsOf(segment: Segment, firstLayer: number): SegmentTensor[] {
  const sizes = new Map(segment.weights.map(({ name, sizeBytes }) => [name, sizeBytes]));
  return segment.weights.flatMap(({ name, sizeBytes }): SegmentTensor[] => {
    if (/\.(?:scales|zeros)$/.test(name)) return [];
    const columns = columnsOf(segment, firstLayer, name);
    if (columns === null) return [{ name, kind: "plain", shape: [sizeBytes / 4] }];
    if (!sizes.has(`${name}.scales`)) {
      return [{ name, kind: "plain", shape: [columns, sizeBytes / 4 / columns] }];
    }
    const bits = sizes.has(`${name}.zeros`) ? 4 : 8;
    const bytesPerRow = (Math.ceil(columns / QUANT_BLOCK_SIZE) * QUANT_BLOCK_SIZE * bits) / 8;
    return [{ name, kind: "quantized", bits, rows: sizeBytes / bytesPerRow, columns }];
  });
}

/** The inputs of a matrix; null for a vector. */
function columnsOf(segment: Segment, firstLayer: number, name: string): number | null {
  const [, layer, matrix] = /^layers\.(\d+)\.(qkv|output|gate_up|down)$/.exec(name) ?? [];
  if (matrix === undefined) return null;
  const { numHeads, intermediateSize }: LayerShape = segment.layers[Number(layer) - firstLayer]!;
  if (matrix === "output") return numHeads * segment.headDim;
  return matrix === "down" ? intermediateSize : segment.hiddenSize;
}

/** Of a norm: in protobuf, an attribute's name and then its number. */
function epsilonOf(graph: Buffer): number | null {
  const attribute = Buffer.from("\x0a\x07epsilon\x15", "latin1");
  const start = graph.indexOf(attribute);
  return start < 0 ? null : graph.readFloatLE(start + attribute.length);
}

/** Of a rotary embedding. */
function interleavingOf(graph: Buffer): boolean | null {
  const attribute = Buffer.from("\x0a\x0binterleaved\x18", "latin1");
  const start = graph.indexOf(attribute);
  return start < 0 ? null : graph[start + attribute.length] === 1;
}

function firstFound<T>(graphs: readonly Buffer[], find: (graph: Buffer) => T | null): T | null {
  for (const graph of graphs) {
    const found = find(graph);
    if (found !== null) return found;
  }
  return null;
}
