import type { PromptLogprobs } from "../contract/logprobs.ts";
import type { PromptPool } from "./prompt-pool.ts";
import type { SequenceRouting } from "./routing.ts";

/** What a forward pass needs of a sequence. */
export interface Tokens {
  /** Prompt and output so far. */
  readonly numTokens: number;
  readonly lastTokenId: number;
  /** Tokens `[start, end)`; `end` may lie past the last. */
  tokenIds(start: number, end: number): Uint32Array;
  /** Decides on the trunk's output of the prompt; absent where nobody asks for a task. */
  readonly routing?: SequenceRouting | undefined;
  /** Reads the logits of the prompt; absent where nobody asks for them. */
  readonly promptLogprobs?: PromptLogprobs | undefined;
  /** Takes the hidden states of the prompt instead of logits; absent where nobody asks for them. */
  readonly pool?: PromptPool | undefined;
  /**
   * Prompts of the same salt share what was computed for their common beginning. Absent where nothing is to be shared.
   */
  readonly cacheSalt?: string | undefined;
}
