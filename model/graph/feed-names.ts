import type { StageSpec } from "../stages/stage-spec.ts";

/** What a graph calls the tables of a rotary embedding. @param table of the model's `rotaryTables` */
export function rotaryFeeds(table: number): { readonly cos: string; readonly sin: string } {
  const suffix = table === 0 ? "" : `.${table}`;
  return { cos: `cos${suffix}`, sin: `sin${suffix}` };
}

/** What a graph calls the mask of attention with a window; null for one that sees all positions. */
export function maskFeed(window: number | null): string {
  return window === null ? "mask" : `mask.${window}`;
}

/** What attention of a stage is fed besides its past. */
export function attentionFeedNames({ layers }: Pick<StageSpec, "layers">): string[] {
  const names = layers.flatMap(({ numHeads, rotary, window }) => {
    if (numHeads === 0) return [];
    const { cos, sin } = rotaryFeeds(rotary.table);
    return ["position_ids", cos, sin, maskFeed(window), "score_split"];
  });
  return [...new Set(names)];
}
