import { PromptLogprobs } from "../contract/logprobs.ts";
import type { PromptReader } from "../contract/tokens.ts";
import { PromptPool } from "./prompt-pool.ts";
import type { SequenceRouting } from "./routing.ts";

export interface PromptReadingParts {
  /** Decides on the trunk's output; absent where nobody asks for a task. */
  readonly routing?: SequenceRouting | undefined;
  readonly logprobs?: PromptLogprobs | undefined;
  readonly pool?: PromptPool | undefined;
}

/** All that is read of one prompt. */
export class PromptReading implements PromptReader {
  readonly routing: SequenceRouting | undefined;
  readonly logprobs: PromptLogprobs | undefined;
  readonly pool: PromptPool | undefined;

  constructor({ routing, logprobs, pool }: PromptReadingParts) {
    this.routing = routing;
    this.logprobs = logprobs;
    this.pool = pool;
  }

  get readsAll(): boolean {
    return this.logprobs !== undefined || this.pool !== undefined;
  }

  get wants(): PromptReader["wants"] {
    if (this.pool) return "states";
    return this.logprobs?.isReading ? "logits" : "nothing";
  }

  get wantsTrunk(): boolean {
    return this.routing?.isReading ?? false;
  }

  begin(): void {
    this.routing?.begin();
  }

  addTrunk(rows: Float32Array): void {
    this.routing?.add(rows);
  }

  endTrunk(): void {
    this.routing?.decide();
  }

  addLogits(start: number, logits: Float32Array, vocabSize: number): void {
    this.logprobs?.add(start, logits, vocabSize);
  }

  addStates(start: number, rows: Float32Array, numTokens: number): void {
    this.pool?.add(start, rows, numTokens);
  }
}
