import type { Tokenizer } from "../../model/text/tokenizer.ts";
import type { ScoredSequence } from "./scoring-batches.ts";

/** A text and the text after it whose probability is asked for. */
export interface TextPair {
  readonly context: string;
  readonly continuation: string;
}

/**
 * Token ids of context and continuation as lm-evaluation-harness has them (`_encode_pair`): blanks at the end of the
 * context go to the continuation, both are encoded together, and as many tokens as the context alone would
 * have are the context's.
 * @param contextLength tokens that the model can read; what is too long loses its beginning
 */
export function encodePair(
  tokenizer: Pick<Tokenizer, "encode">,
  { context, continuation }: TextPair,
  contextLength: number,
): ScoredSequence {
  const trimmed = context.trimEnd();
  const moved = context.slice(trimmed.length) + continuation;
  const encode = (text: string): Uint32Array => tokenizer.encode(text, { parseSpecial: false });
  const whole = encode(trimmed + moved);
  // At least one token is the continuation's, also where it melts into the context.
  const split = Math.max(1, Math.min(encode(trimmed).length, whole.length - 1));
  const dropped = Math.max(0, whole.length - 1 - contextLength);
  return {
    tokenIds: whole.subarray(dropped),
    firstScored: Math.max(1, split - dropped),
  };
}
