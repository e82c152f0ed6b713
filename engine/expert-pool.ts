import type { ExpertDevice } from "./expert-device.ts";
import type { ExpertBuilder, ExpertOptions, ExpertSnapshot, ServeReason } from "./experts.ts";
import type { StepCost } from "./serve-policy.ts";

export interface ExpertPoolOptions {
  readonly options: ExpertOptions;
  readonly builder: ExpertBuilder;
  readonly device: ExpertDevice;
  readonly denseCost: StepCost;
  /** Milliseconds since the epoch. */
  readonly nowMs: () => number;
  /** Calls back once after so many milliseconds; what it returns takes that back. */
  readonly setTimer: (callback: () => void, delayMs: number) => () => void;
  /** Called in a microtask after changes, once for all of them. */
  readonly onChange: (snapshots: ExpertSnapshot[]) => void;
  /** One line for a person. */
  readonly log: (line: string) => void;
}

/** The right to run one sequence on a middle. While it is held, the expert stays in memory. */
export interface ExpertLease {
  /** Name of the middle: a task, `general` or `dense`. */
  readonly expert: string;
  readonly task: string | null;
  readonly reason: ServeReason;
  /** The sequence has left the middle for good. May be called again. */
  release(): void;
}

export type ExpertChoice =
  | { readonly kind: "run"; readonly lease: ExpertLease }
  /** `ready` never rejects: it resolves when the expert is there or it is clear that it will not be. Then choose again. */
  | { readonly kind: "wait"; readonly ready: Promise<void> };

export interface ChooseOptions {
  /** Waits for an expert that is being built or loaded, whatever the task's policy says. */
  readonly mustWait?: boolean;
  /** The client named the task: it gets its own expert whatever the load is. */
  readonly isAssigned?: boolean;
}

export type ExpertCommand = "build" | "load" | "evict";

/** Comparison of one finished request with dense, summed over its tokens. */
export interface ShadowRecord {
  readonly tokens: number;
  /** Sum of the KL divergences from dense to the expert, nats. */
  readonly kl: number;
  /** Tokens whose most likely next token is dense's. */
  readonly agreeing: number;
}

export class ExpertPool {
  readonly #options: ExpertPoolOptions;

  constructor(options: ExpertPoolOptions) {
    this.#options = options;
  }

  choose(task: string | null, options: ChooseOptions = {}): ExpertChoice {
    throw new Error(`not there yet: ${task} ${JSON.stringify([options, this.#options])}`);
  }

  command(name: string, command: ExpertCommand): Promise<ExpertSnapshot> {
    return Promise.reject(new Error(`not there yet: ${name} ${command}`));
  }

  recordShadow(name: string, record: ShadowRecord): void {
    throw new Error(`not there yet: ${name} ${record.tokens}`);
  }

  snapshots(): ExpertSnapshot[] {
    return [];
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
