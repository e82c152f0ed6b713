import { z } from "zod";
import { ArtifactError } from "../model/errors.ts";
import { describeIssues } from "../model/files/json-file.ts";
import { openSafetensorsFile } from "../model/files/safetensors.ts";
import type { SafetensorsFile } from "../model/files/safetensors.ts";
import { safetensorsChunks } from "../model/files/safetensors-writer.ts";
import type { WritableTensor } from "../model/files/safetensors-writer.ts";
import { ClusterRouter } from "./cluster-router.ts";
import { RouterError } from "./errors.ts";
import { LogisticRouter } from "./logistic-router.ts";
import type { Router } from "./router.ts";

/** Grows when files of before can no longer be read, or their numbers mean something else. */
const formatVersion = 2;
const metadataKey = "seap_router";

const common = { version: z.literal(formatVersion), model: z.string().nullable() };
const threshold = z.number().nullable(); // null for infinity, which JSON lacks

const headerSchema = z.discriminatedUnion("kind", [
  z.strictObject({
    ...common,
    kind: z.literal("clusters"),
    /** Task of each cluster. */
    clusters: z.array(z.string().nullable()).min(1),
    temperature: z.number().positive(),
    threshold,
  }),
  z.strictObject({
    ...common,
    kind: z.literal("logistic"),
    tasks: z.array(z.string()).min(2),
    threshold,
  }),
]);

type Header = z.infer<typeof headerSchema>;

/** The content of a router's file: safetensors, with everything that is no tensor as JSON in its header. */
export function routerFile(router: ClusterRouter | LogisticRouter): Uint8Array[] {
  const { header, tensors } = describe(router);
  return [...safetensorsChunks(tensors, { [metadataKey]: JSON.stringify(header) })];
}

/**
 * Reads what {@link routerFile} has written.
 * @param model content hash of the model that prompts are routed for; null takes any router
 * @throws ModelLoadError when the file cannot be read, ArtifactError when it is no router of this release,
 * RouterError when it was fitted for another model.
 */
export function readRouterFile(path: string, model: string | null): Router {
  const file = openSafetensorsFile(path);
  try {
    const header = readHeader(path, file.metadata[metadataKey]);
    if (model !== null && header.model !== null && header.model !== model) {
      throw new RouterError(
        `${path}: was fitted for another model (expected ${model.slice(0, 12)}…, got ` +
          `${header.model.slice(0, 12)}…). Fit it again with seap router fit.`,
      );
    }
    return build(path, header, file);
  } finally {
    file.close();
  }
}

function describe(router: ClusterRouter | LogisticRouter): {
  readonly header: Header;
  readonly tensors: readonly WritableTensor[];
} {
  const start = { version: formatVersion, model: router.model } as const;
  const finite = (value: number): number | null => (value === Infinity ? null : value);
  switch (router.kind) {
    case "logistic": {
      const { tasks, scores, threshold: limit } = router.parameters;
      return {
        header: { ...start, kind: "logistic", tasks: [...tasks], threshold: finite(limit) },
        tensors: [matrixTensor("weights", scores.weights), vectorTensor("biases", scores.biases)],
      };
    }
    case "clusters": {
      const { projection, clusters, temperature, threshold: limit } = router.parameters;
      return {
        header: {
          ...start,
          kind: "clusters",
          clusters: clusters.map(({ task }) => task),
          temperature,
          threshold: finite(limit),
        },
        tensors: [
          vectorTensor("center", projection.center),
          matrixTensor("projection", projection.matrix),
          matrixTensor(
            "centroids",
            clusters.map(({ centroid }) => centroid),
          ),
        ],
      };
    }
  }
}

function readHeader(path: string, text: string | undefined): Header {
  if (text === undefined) throw new ArtifactError(path, "is no router: its header does not say so");
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new ArtifactError(path, "is no router: its header is not valid JSON", { cause });
  }
  const parsed = headerSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new ArtifactError(path, `is no router of this release: ${describeIssues(parsed.error)}`);
}

function build(path: string, header: Header, file: SafetensorsFile): Router {
  const vector = (name: string): Float64Array => Float64Array.from(file.readTensor(name));
  const matrix = (name: string, width: number): Float64Array[] => {
    const values = vector(name);
    if (values.length % width !== 0) {
      throw new ArtifactError(
        path,
        `tensor ${name}: expected rows of ${width} numbers, got ${values.length} in all`,
      );
    }
    return Array.from({ length: values.length / width }, (_, row) =>
      values.slice(row * width, (row + 1) * width),
    );
  };
  const checkRows = (name: string, rows: readonly unknown[], expected: number): void => {
    if (rows.length === expected) return;
    throw new ArtifactError(path, `${name}: expected ${expected} rows, got ${rows.length}`);
  };
  switch (header.kind) {
    case "logistic": {
      const { model, tasks, threshold: limit } = header;
      const biases = vector("biases");
      checkRows("biases", Array.from(biases), tasks.length);
      const all = vector("weights");
      const weights = matrix("weights", all.length / tasks.length);
      checkRows("weights", weights, tasks.length);
      return new LogisticRouter({
        model,
        tasks,
        scores: { weights, biases },
        threshold: limit ?? Infinity,
      });
    }
    case "clusters": {
      const { model, clusters, temperature, threshold: limit } = header;
      const center = vector("center");
      const projection = { center, matrix: matrix("projection", center.length) };
      const centroids = matrix("centroids", projection.matrix.length);
      checkRows("centroids", centroids, clusters.length);
      return new ClusterRouter({
        model,
        projection,
        clusters: centroids.map((centroid, i) => ({ task: clusters[i]!, centroid })),
        temperature,
        threshold: limit ?? Infinity,
      });
    }
  }
}

function vectorTensor(name: string, values: Float64Array): WritableTensor {
  return { name, shape: [values.length], data: Float32Array.from(values) };
}

function matrixTensor(name: string, rows: readonly Float64Array[]): WritableTensor {
  const width = rows[0]!.length;
  const data = new Float32Array(rows.length * width);
  for (const [i, row] of rows.entries()) data.set(row, i * width);
  return { name, shape: [rows.length, width], data };
}
