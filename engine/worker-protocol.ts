import type { WeightFormat } from "../model/quantize.ts";
import type { TokenTable } from "../model/token-table.ts";
import type { GenerateEvent, GenerateRequest } from "./request.ts";

/** Handed to the worker when it starts. */
export interface WorkerOptions {
  /** GGUF file or model folder. */
  readonly modelPath: string;
  readonly weights: WeightFormat;
  /** Threads of one forward pass. */
  readonly threads: number;
  /** Positions per sequence; at most the model's. */
  readonly contextLength: number;
  /** Sequences that run at once. */
  readonly maxBatch: number;
  /** Largest number of prompt tokens in one forward pass. */
  readonly prefillChunk: number;
  /** KV memory of all sequences together. */
  readonly kvMemoryBytes: number;
  readonly tokenTable: TokenTable;
}

export type ToWorker =
  | { readonly type: "generate"; readonly request: GenerateRequest }
  | { readonly type: "cancel"; readonly id: string }
  /** Answered by `router_used` or `router_failed`, in order. */
  | { readonly type: "use_router"; readonly path: string }
  /** Cancel everything, release the device, end. A worker is never terminated while it may run. */
  | { readonly type: "close" };

export type FromWorker =
  | { readonly type: "progress"; readonly text: string }
  | { readonly type: "ready" }
  | { readonly type: "load_failed"; readonly message: string }
  | { readonly type: "router_used" }
  | { readonly type: "router_failed"; readonly message: string }
  | {
      readonly type: "outputs";
      readonly outputs: readonly WorkerOutput[];
      /** 0 to 1 */
      readonly kvCacheUsage: number;
    };

export type WorkerOutput =
  | { readonly id: string; readonly event: GenerateEvent | { readonly type: "started" } }
  | { readonly id: string; readonly error: { readonly code: string; readonly message: string } };
