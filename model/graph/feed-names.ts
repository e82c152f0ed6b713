import type { StageSpec } from "../stages/stage-spec.ts";

/** What a graph of a stage calls its inputs, save those that differ between layers. */
export const feedNames = {
  tokenIds: "token_ids",
  hidden: "hidden",
  positions: "position_ids",
  tailStart: "tail_start",
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

/** What a graph calls the past and the tail of a layer. @param index place in the stage */
export function pastFeedNames(
  index: number,
): Readonly<Record<"keys" | "values" | "tailKeys" | "tailValues", string>> {
  return {
    ...{ keys: `past_k.${index}`, values: `past_v.${index}` },
    ...{ tailKeys: `tail_k.${index}`, tailValues: `tail_v.${index}` },
  };
}

/** What a graph calls the tables of a rotary embedding. @param table of the model's `rotaryTables` */
export function rotaryFeeds(table: number): { readonly cos: string; readonly sin: string } {
  const suffix = table === 0 ? "" : `.${table}`;
  return { cos: `cos${suffix}`, sin: `sin${suffix}` };
}

/** Tokens whose attention is wanted: all new ones, or in the last layer of a stage with the head those that go on. */
export type AttendingTokens = "all" | "kept";

/** What a graph calls the mask of attention with a window; null for one that sees all positions. */
export function maskFeed(window: number | null, tokens: AttendingTokens): string {
  return `${ofTokens("mask", tokens)}${window === null ? "" : `.${window}`}`;
}

/** What a graph calls how the tokens' queries are laid out as matrices. */
export function queryRowsFeed(tokens: AttendingTokens): string {
  return ofTokens("query_rows", tokens);
}

/** What attention of a stage is fed besides its past. */
export function attentionFeedNames({
  layers,
  hasHead,
}: Pick<StageSpec, "layers" | "hasHead">): string[] {
  const names = layers.flatMap(({ numHeads, rotary, window }, index) => {
    if (numHeads === 0) return [];
    const { cos, sin } = rotaryFeeds(rotary.table);
    const tokens = hasHead && index === layers.length - 1 ? "kept" : "all";
    return [
      ...[feedNames.positions, cos, sin, feedNames.tailStart, feedNames.scoreSplit],
      ...[maskFeed(window, tokens), queryRowsFeed(tokens)],
    ];
  });
  return [...new Set(names)];
}

function ofTokens(name: string, tokens: AttendingTokens): string {
  return tokens === "all" ? name : `kept_${name}`;
}
