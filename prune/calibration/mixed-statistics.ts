import { ModuleStatistics } from "./statistics.ts";
import type { LayerStatistics } from "./statistics.ts";

/** Statistics by layer of the model; a profile is one. */
export interface StatisticsReader {
  readLayer(layer: number): LayerStatistics;
}

/** Statistics and the share of the tokens that they stand for. */
export interface WeightedReader {
  readonly reader: StatisticsReader;
  readonly share: number;
}

/**
 * Statistics as of one run over a mix of texts, whatever the sizes of the parts.
 * @param parts all with Gram matrices or all without; shares sum to 1
 */
export function mixStatistics(parts: readonly WeightedReader[]): StatisticsReader {
  if (parts.length === 1) return parts[0]!.reader;
  return {
    readLayer(layer) {
      let mixed: LayerStatistics | null = null;
      let numTokens = 0;
      for (const { reader, share } of parts) {
        const part = reader.readLayer(layer);
        numTokens ||= part.mlp.count;
        mixed ??= { attention: emptyLike(part.attention), mlp: emptyLike(part.mlp) };
        for (const module of ["attention", "mlp"] as const) {
          mixed[module].merge(part[module], (share * numTokens) / part[module].count);
        }
      }
      return mixed!;
    },
  };
}

function emptyLike({ size, comoment }: ModuleStatistics): ModuleStatistics {
  return ModuleStatistics.empty(size, { withComoment: comoment !== null });
}
