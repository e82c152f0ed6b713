import type { StageSpec } from "../stages/stage-spec.ts";
import type { LayerShape } from "../weights/layer-spec.ts";

/** What a graph of a stage calls its inputs, save those that differ between layers. */
export const feedNames = {
  tokenIds: "token_ids",
  hidden: "hidden",
  tailStart: "tail_start",
  scoreSplit: "score_split",
  rows: "rows",
  logitRows: "logit_rows",
} as const;

/** What a graph of a stage calls its results. */
export const resultNames = {
  hidden: "hidden_out",
  logits: "logits",
  newKv: "new_kv",
} as const;

/** What a graph calls the past and the tail of a layer. @param index place in the stage */
export function pastFeedNames(index: number): Readonly<Record<"keys" | "values" | "tail", string>> {
  return { keys: `past_k.${index}`, values: `past_v.${index}`, tail: `tail.${index}` };
}

/** Heads of a layer with attention. */
export type HeadCounts = Pick<LayerShape, "numHeads" | "numKvHeads">;

/** What a graph calls the rows of the rotary tables by head, of layers with as many. */
export function rotaryRowsFeed({ numHeads, numKvHeads }: HeadCounts): string {
  return `rotary_rows.${numHeads}.${numKvHeads}`;
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
  const names = layers.flatMap(({ numHeads, numKvHeads, rotary, window }, index) => {
    if (numHeads === 0) return [];
    const { cos, sin } = rotaryFeeds(rotary.table);
    const tokens = hasHead && index === layers.length - 1 ? "kept" : "all";
    return [
      ...[rotaryRowsFeed({ numHeads, numKvHeads }), cos, sin],
      ...[feedNames.tailStart, feedNames.scoreSplit],
      ...[maskFeed(window, tokens), queryRowsFeed(tokens)],
    ];
  });
  return [...new Set(names)];
}

function ofTokens(name: string, tokens: AttendingTokens): string {
  return tokens === "all" ? name : `kept_${name}`;
}
