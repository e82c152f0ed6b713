import type { WeightFormat } from "../../model/weights/quantize.ts";
import type { TokenTable } from "../../model/text/token-table.ts";
import type { FromExperts, ToExperts } from "../contract/expert-messages.ts";
import type { ExpertOptions } from "../contract/experts.ts";
import type { ProgressEvent } from "../contract/progress-event.ts";
import type { RequestFailure } from "../contract/request-failure.ts";
import type { EngineMemory, GenerateEvent, GenerateRequest } from "../contract/request.ts";
import type { StepReport } from "../contract/step-meter.ts";

/** Handed to the worker when it starts. */
export interface WorkerOptions {
  /** GGUF file or model folder. */
  readonly modelPath: string;
  /** Of the model, where it is known. @default computed */
  readonly contentHash?: string;
  /** Where weights are kept as they are loaded. @default nowhere */
  readonly preparedFolder?: string;
  readonly weights: WeightFormat;
  /** Threads of one forward pass. */
  readonly threads: number;
  /** Positions per sequence; at most the model's. */
  readonly contextLength: number;
  /** Sequences that run at once. */
  readonly maxBatch: number;
  /** Largest number of prompt tokens in one forward pass. */
  readonly prefillChunk?: number | undefined;
  /** Most tokens that are guessed and computed with the one that is due. @default 0: none */
  readonly draftMax?: number;
  /** Milliseconds between two tokens of a running sequence that prefill may fill. @default 100 */
  readonly maxGapMs?: number | undefined;
  /** KV memory of all sequences together. */
  readonly kvMemoryBytes: number;
  /** Memory for the beginnings of prompts that may come again; 0 keeps none. */
  readonly prefixCacheBytes: number;
  readonly tokenTable: TokenTable;
  /** Absent where the dense model answers everything. */
  readonly experts?: ExpertOptions;
}

export type ToWorker =
  | { readonly type: "generate"; readonly request: GenerateRequest }
  | { readonly type: "cancel"; readonly id: string }
  /** Answered by `router_used` or `router_failed`, in order. */
  | { readonly type: "use_router"; readonly path: string }
  | ToExperts
  /** Answered by `pong`, between two steps at the latest. */
  | { readonly type: "ping" }
  /** Cancel everything, release the device, end. A worker is never terminated while it may run. */
  | { readonly type: "close" };

export type FromWorker =
  | { readonly type: "progress"; readonly text: string }
  /** Something went wrong that costs nobody an answer: text for the log. */
  | { readonly type: "problem"; readonly text: string }
  | { readonly type: "ready" }
  | { readonly type: "pong" }
  | { readonly type: "load_failed"; readonly message: string }
  | { readonly type: "router_used" }
  | { readonly type: "router_failed"; readonly message: string }
  | FromExperts
  /** When it has changed and there is no output to tell it with. */
  | { readonly type: "memory"; readonly memory: EngineMemory }
  | {
      readonly type: "outputs";
      readonly outputs: readonly WorkerOutput[];
      readonly memory: EngineMemory;
      readonly report: StepReport;
      /** On the clock of `steadySeconds`. */
      readonly sentAtSeconds: number;
    };

export type WorkerOutput =
  | { readonly id: string; readonly event: GenerateEvent | ProgressEvent }
  | { readonly id: string; readonly error: RequestFailure };
