import type { StageSpec } from "../stages/stage-spec.ts";

/** What a graph of a stage calls its inputs, save those that differ between layers. */
export const feedNames = {
  tokenIds: "token_ids",
  hidden: "hidden",
  positions: "position_ids",
  scoreSplit: "score_split",
  rows: "rows",
  logitRows: "logit_rows",
} as const;

/** What a graph of a stage calls its results. */
export const resultNames = {
  hidden: "hidden_out",
  logits: "logits",
  newKeys: "new_k",
  newValues: "new_v",
} as const;

/** What a graph calls the past of a layer. @param index place in the stage */
export function pastFeedNames(index: number): { readonly keys: string; readonly values: string } {
  return { keys: `past_k.${index}`, values: `past_v.${index}` };
}

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
    return [feedNames.positions, cos, sin, maskFeed(window), feedNames.scoreSplit];
  });
  return [...new Set(names)];
}
