import type { RowRange, StoredMatrix } from "../files/checkpoint.ts";
import type { FileBlocks } from "../files/tensor-encoding.ts";
import type { ModelWeights } from "../weights/config.ts";
import { concatenate } from "../weights/matrix-rows.ts";
import { isProjection } from "../weights/layer-spec.ts";
import type { ProjectionRole } from "../weights/layer-spec.ts";
import { checkExpertPlan } from "./expert-plan.ts";
import type { ExpertPlan, LayerPlan } from "./expert-plan.ts";
import { stageBorders } from "../stages/model-stages.ts";

/** A projection refitted to the inputs that a plan keeps. */
export interface Replacement {
  /** Shape `[hiddenSize, kept inputs]`, row-major; null for the kept columns as they are. */
  readonly matrix: Float32Array | null;
  /** Shape `[hiddenSize]`; null for none. */
  readonly bias: Float32Array | null;
}

/** By layer of the model, of a layer of the middle. Null where nothing is refitted. */
export type Replacements = (layer: number, role: "output" | "down") => Replacement | null;

/**
 * The weights that an expert keeps: those of the middle cut to the plan, all others as they are. Closing it closes
 * the dense weights.
 * @param replacements read on demand. @default kept columns as they are
 * @throws ModelLoadError when the plan is not one of this model, naming the layer and what is wrong
 */
export function prunedWeights(
  weights: ModelWeights,
  plan: ExpertPlan,
  replacements: Replacements = () => null,
): ModelWeights {
  checkExpertPlan(`The plan of ${plan.task}`, plan, weights);
  const { headDim, hiddenSize } = weights.config;
  const { middle } = stageBorders(weights.config);

  /** The plan and replacement where the layer is one of the middle. */
  const planOf = (layer: number): LayerPlan | undefined => plan.layers[layer - middle];
  const rowsOf = (kept: LayerPlan, role: ProjectionRole): readonly number[] | null => {
    switch (role) {
      case "query":
        return headRows(kept.keptHeads, headDim);
      case "key":
      case "value":
        return headRows(kept.keptKvHeads, headDim);
      case "gate":
      case "up":
        return kept.keptChannels;
      case "output":
      case "down":
        return null;
    }
  };
  const cut = (layer: number, role: ProjectionRole, kept: LayerPlan): Float32Array => {
    const dense = () => weights.readLayerTensor(layer, role);
    if (role !== "output" && role !== "down") {
      return selectRows(dense(), rowsOf(kept, role)!, hiddenSize);
    }
    const replaced = replacements(layer, role)?.matrix;
    if (replaced) return replaced;
    const columns = role === "output" ? headRows(kept.keptHeads, headDim) : kept.keptChannels;
    return selectColumns(dense(), columns, hiddenSize);
  };
  // Rows of one matrix are read one after the other.
  const last = new LastTensor();
  return {
    config: weights.config,
    contentHash: weights.contentHash,
    readTensor: (role, rows) => weights.readTensor(role, rows),
    readLayerTensor(layer, role, rows) {
      const kept = planOf(layer);
      if (!kept || !isProjection(role)) return weights.readLayerTensor(layer, role, rows);
      const numRows = rowsOf(kept, role)?.length ?? hiddenSize;
      const whole = last.read(`${layer} ${role}`, () => cut(layer, role, kept));
      const columns = whole.length / numRows;
      return rows ? whole.subarray(rows.start * columns, rows.end * columns) : whole;
    },
    storedMatrix(layer, role) {
      const whole = weights.storedMatrix?.(layer, role) ?? { bits: 32, blocks: null };
      const kept = layer === null ? undefined : planOf(layer);
      if (!kept || layer === null) return whole;
      const rows = rowsOf(kept, role as ProjectionRole);
      // Columns are in other blocks than before.
      return rows ? selectStored(whole, rows) : { bits: whole.bits, blocks: null };
    },
    readLayerBias(layer, biasRole) {
      const kept = planOf(layer);
      const own = weights.readLayerBias(layer, biasRole);
      if (!kept) return own;
      const role = biasRole.slice(0, -"Bias".length) as ProjectionRole;
      if (role !== "output" && role !== "down") {
        return own && selectRows(own, rowsOf(kept, role)!, 1);
      }
      const added = replacements(layer, role)?.bias ?? null;
      return own && added ? own.map((value, i) => value + added[i]!) : (added ?? own);
    },
    close: () => weights.close(),
  };
}

/** Keeps what was read last. */
class LastTensor {
  #key = "";
  #tensor: Float32Array = new Float32Array(0);

  read(key: string, read: () => Float32Array): Float32Array {
    if (key !== this.#key) [this.#tensor, this.#key] = [read(), key];
    return this.#tensor;
  }
}

/** Rows of a projection that belong to heads; columns of the output projection. */
export function headRows(heads: readonly number[], headDim: number): number[] {
  return heads.flatMap((head) => Array.from({ length: headDim }, (_, i) => head * headDim + i));
}

function selectRows(matrix: Float32Array, rows: readonly number[], columns: number): Float32Array {
  const result = new Float32Array(rows.length * columns);
  for (const [i, row] of rows.entries()) {
    result.set(matrix.subarray(row * columns, (row + 1) * columns), i * columns);
  }
  return result;
}

/** Some rows of a stored matrix. */
function selectStored({ bits, blocks }: StoredMatrix, rows: readonly number[]): StoredMatrix {
  if (blocks === null) return { bits, blocks };
  const read = ({ start, end }: RowRange): FileBlocks => {
    const parts = rows.slice(start, end).map((row) => blocks.read({ start: row, end: row + 1 }));
    const hasOffsets = parts.some(({ offsets }) => offsets !== null);
    return {
      data: Uint8Array.from(Buffer.concat(parts.map(({ data }) => data))),
      scales: concatenate(parts.map(({ scales }) => scales)),
      offsets: hasOffsets ? concatenate(parts.map(({ offsets }) => offsets!)) : null,
    };
  };
  return { bits, blocks: { bits: blocks.bits, read } };
}

/** Columns of a matrix with `numRows` rows. @returns shape `[numRows, indices.length]`, row-major. */
export function selectColumns(
  matrix: Float32Array,
  indices: readonly number[],
  numRows: number,
): Float32Array {
  const columns = matrix.length / numRows;
  const result = new Float32Array(numRows * indices.length);
  for (let row = 0, at = 0; row < numRows; row++) {
    for (const j of indices) result[at++] = matrix[row * columns + j]!;
  }
  return result;
}
