/** Name of the unpruned middle, which is always there. */
export const denseExpert = "dense";

/** Name of the middle pruned for all tasks together: what requests share when their own experts would cost too much. */
export const generalExpert = "general";

/**
 * Where an expert is in its life, in order:
 * - `absent`: nobody asked for it yet, or it has to be built again;
 * - `planned`: it waits for the builder, which makes one at a time;
 * - `building`: it is calibrated, pruned and judged;
 * - `stored`: built, and not in memory;
 * - `loading`, `resident`;
 * - `draining`: no new sequence gets it; it leaves memory after the last run;
 * - `failed`: its build or its load failed; it is tried again after a while;
 * - `over-budget`: no sparsity keeps the quality that was asked for, so dense answers;
 * - `suspended`: the shadow check found it worse than allowed, so dense answers until a person says otherwise;
 * - `off`: the configuration has none for this task.
 */
export const expertStates = [
  "absent",
  "planned",
  "building",
  "stored",
  "loading",
  "resident",
  "draining",
  "failed",
  "over-budget",
  "suspended",
  "off",
] as const;

export type ExpertState = (typeof expertStates)[number];

/** Why a sequence runs on the middle it runs on. */
export type ServeReason =
  | "expert" // the task's own
  | "no-task" // dense, as the prompt is none of the tasks'
  | "building" // planned or building
  | "loading" // loading, or leaving memory
  | "memory" // those in use, or asked for more, leave no room for it
  | "load" // a shared middle is faster for all under this load
  | "failed"
  | "over-budget"
  | "suspended"
  | "off";

/** Why an expert leaves memory. */
export const evictionReasons = ["memory", "idle", "command", "suspended", "stopping"] as const;

export type EvictionReason = (typeof evictionReasons)[number];

/** An expert as the builder leaves it on disk. */
export interface BuiltExpert {
  /** Key of its artifact in the store. */
  readonly key: string;
  /** Folder of the artifact store. */
  readonly storeDir: string;
  /** Bytes of its weights. */
  readonly sizeBytes: number;
  /** True share of the middle's parameters that is gone. */
  readonly sparsity: number;
  /** Relative rise of held-out perplexity over dense: 0.05 is 5 %. Null where it was not judged. */
  readonly lossIncrease: number | null;
  /** Seconds that the build took when it was made, calibration included; null when it was on disk. */
  readonly buildSeconds: number | null;
}

export interface BuildProgress {
  /** What is being done, for a person: "code: calibrating". */
  readonly phase: string;
  /** Share of the phase that is done, 0 to 1. */
  readonly share: number;
}

export interface BuildOptions {
  readonly signal: AbortSignal;
  readonly onProgress: (progress: BuildProgress) => void;
}

/** Makes experts. Called for one at a time. */
export interface ExpertBuilder {
  /**
   * What is on disk already and may be used as it is; never builds.
   * @throws SeapError
   */
  find(task: string): Promise<BuiltExpert | null>;
  /**
   * @param task or {@link generalExpert}
   * @returns null when no sparsity is within the quality budget
   * @throws SeapError when it cannot be built, and the signal's reason
   */
  build(task: string, options: BuildOptions): Promise<BuiltExpert | null>;
}

/** What the pool tells of one expert; all of it can be sent to another thread. */
export interface ExpertSnapshot {
  /** Task, or {@link denseExpert} or {@link generalExpert}. */
  readonly name: string;
  readonly state: ExpertState;
  /** Resident bytes; 0 when it is not in memory. */
  readonly residentBytes: number;
  /** Its artifact; null while there is none. */
  readonly built: BuiltExpert | null;
  /** While it is building. */
  readonly progress: BuildProgress | null;
  /** Sequences that run on it now. */
  readonly running: number;
  /** Sequences that it was chosen for. */
  readonly hits: number;
  /** Sequences of its task that another middle answered while it was expected to. */
  readonly misses: number;
  /** Times that it left memory. */
  readonly evictions: number;
  /** Evictions by their reason; a reason that there was none for is absent. */
  readonly evictionReasons: Readonly<Partial<Record<EvictionReason, number>>>;
  /** Times that it came into memory. */
  readonly loads: number;
  /** Times that it was not loaded, as those that would have had to leave are asked for more. */
  readonly loadsPutOff: number;
  /** Seconds that the last load took; null before the first. */
  readonly loadSeconds: number | null;
  /** Seconds of one sequence's decode step through it, measured when it was loaded; null before. */
  readonly stepSeconds: number | null;
  /** Milliseconds since the epoch; null when it was never used. */
  readonly lastUsedMs: number | null;
  /** Why it failed or is suspended, for a person. */
  readonly problem: string | null;
  /** Milliseconds since the epoch when a failed one is tried again. */
  readonly retryAtMs: number | null;
  /** Comparison with dense on finished requests; null before the first. */
  readonly shadow: ShadowSummary | null;
}

export interface ShadowSummary {
  readonly requests: number;
  readonly tokens: number;
  /** Mean KL divergence from dense to the expert, nats a token. */
  readonly kl: number;
  /** Share of tokens whose most likely next token is dense's. */
  readonly topAgreement: number;
}

/** How one task is served. */
export interface TaskPolicy {
  readonly isServed: boolean;
  /** What a request does that comes before the expert is there: a shared middle answers it, or it waits. */
  readonly whileBuilding: "general" | "wait";
}

/** How experts are served. */
export interface ExpertOptions {
  /** In the order in which they are listed. */
  readonly tasks: Readonly<Record<string, TaskPolicy>>;
  /** Whether there is a middle for all tasks, beside dense. */
  readonly hasGeneral: boolean;
  /** Bytes of all experts in memory together; dense and what it shares with them do not count. */
  readonly memoryBytes: number;
  /** `task`: always the task's own; `load-aware`: where a shared one is faster for all, that. */
  readonly policy: "task" | "load-aware";
  /** Experts to build and load at the start, in this order. */
  readonly preload: readonly string[];
  /** Milliseconds without use after which an expert leaves memory; null for never. */
  readonly idleMs: number | null;
  /** Requests that may wait for an expert. */
  readonly maxParked: number;
  readonly shadow: ShadowOptions;
}

export interface ShadowOptions {
  /** Share of finished requests to compare, 0 to 1. */
  readonly share: number;
  /** Mean KL divergence, nats a token, above which an expert is suspended. */
  readonly maxKl: number;
  /** Requests before which nothing is concluded. */
  readonly minRequests: number;
}
