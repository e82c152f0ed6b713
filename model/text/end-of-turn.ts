/** Tokens that end a turn or a text in known models, whatever else their files say. */
const endOfTurn: ReadonlySet<string> = new Set([
  "<|im_end|>",
  "<|eot_id|>",
  "<|eom_id|>",
  "<|end|>",
  "<|endoftext|>",
  "<|end_of_text|>",
  "<end_of_turn>",
  "<end_of_utterance>",
  "<EOT>",
  "[EOT]",
  "<｜end▁of▁sentence｜>",
]);

/** A model that produces this token has finished its answer. */
export function isEndOfTurn(content: string): boolean {
  return endOfTurn.has(content);
}
