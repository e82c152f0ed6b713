/** What a step of the engine spends its time on; `kv` is moving keys and values, `expert` the layers that experts replace. */
export type StepPhase = "kv" | "trunk" | "expert" | "head" | "grammar" | "sample";

/** One pass: a part of a prompt, or a token for each running sequence. */
export interface StepRecord {
  readonly pass: "prefill" | "decode";
  /** Tokens of the prompt, or those that the sequences got; 0 in the part of a prefill that only the trunk has seen. */
  readonly tokens: number;
  /** Of each sequence for which tokens were guessed. */
  readonly drafts: readonly DraftRecord[];
  /** Only of phases that there were. */
  readonly seconds: Readonly<Partial<Record<StepPhase, number>>>;
  /** Sequences by the name of what they ran on; empty in prefill. */
  readonly experts: Readonly<Record<string, number>>;
}

export interface DraftRecord {
  readonly guessed: number;
  /** Those that the model agreed with before the first that it did not. */
  readonly accepted: number;
}

/** What has happened since the last report. */
export interface StepReport {
  readonly steps: readonly StepRecord[];
  /** Sequences that lost their keys and values. */
  readonly preemptions: number;
}

interface OpenStep {
  readonly pass: StepRecord["pass"];
  readonly seconds: Partial<Record<StepPhase, number>>;
  readonly experts: Record<string, number>;
  tokens: number;
  readonly drafts: DraftRecord[];
}

/** Takes the times of the engine's steps, a few times a step: what it costs does not grow with the batch. */
export class StepMeter {
  readonly #now: () => number;
  #steps: StepRecord[] = [];
  #preemptions = 0;
  #open: OpenStep | null = null;
  #lapMs = 0;

  /** @param now milliseconds on a steady clock */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** One that was begun and has not ended, as it failed, is forgotten. */
  begin(pass: StepRecord["pass"]): void {
    this.#open = { pass, seconds: {}, experts: {}, drafts: [], tokens: 0 };
    this.#lapMs = this.#now();
  }

  /** What was done since the last lap was this. Nothing between steps. */
  lap(phase: StepPhase): void {
    if (this.#open === null) return;
    const nowMs = this.#now();
    const { seconds } = this.#open;
    seconds[phase] = (seconds[phase] ?? 0) + (nowMs - this.#lapMs) / 1000;
    this.#lapMs = nowMs;
  }

  /** What a phase of the step that is on has taken so far. */
  secondsOf(phase: StepPhase): number {
    return this.#open?.seconds[phase] ?? 0;
  }

  /** Says how many more sequences run on the expert in this step. */
  countRows(expert: string, rows: number): void {
    if (this.#open === null || rows === 0) return;
    this.#open.experts[expert] = (this.#open.experts[expert] ?? 0) + rows;
  }

  countTokens(tokens: number): void {
    if (this.#open !== null) this.#open.tokens += tokens;
  }

  countDraft(draft: DraftRecord): void {
    this.#open?.drafts.push(draft);
  }

  countPreemption(): void {
    this.#preemptions++;
  }

  /** Keeps a record of the step, where something was done in it. */
  end(): void {
    if (this.#open !== null && Object.keys(this.#open.seconds).length > 0) {
      this.#steps.push(this.#open);
    }
    this.#open = null;
  }

  take(): StepReport {
    const report = { steps: this.#steps, preemptions: this.#preemptions };
    this.#steps = [];
    this.#preemptions = 0;
    return report;
  }
}
