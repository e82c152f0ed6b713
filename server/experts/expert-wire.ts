import { denseExpert } from "../../engine/contract/experts.ts";
import type { ExpertSnapshot, ExpertState } from "../../engine/contract/experts.ts";

/** An expert as `/v1/experts` spells it. */
export interface WireExpert {
  /** The task, `general` or `dense`. */
  readonly id: string;
  readonly object: "expert";
  readonly state: ExpertState;
  readonly resident_bytes: number;
  /** Of the artifact, which `artifact` is the key of; null while there is none. */
  readonly size_bytes: number | null;
  readonly artifact: string | null;
  readonly sparsity: number | null;
  readonly held_out_loss_increase: number | null;
  readonly build_seconds: number | null;
  readonly load_seconds: number | null;
  readonly progress: { readonly phase: string; readonly share: number } | null;
  /** Requests that run on it now. */
  readonly running: number;
  readonly hits: number;
  readonly misses: number;
  readonly evictions: number;
  /** ISO 8601. */
  readonly last_used_at: string | null;
  readonly problem: string | null;
  /** ISO 8601. */
  readonly retry_at: string | null;
  readonly shadow: {
    readonly requests: number;
    readonly tokens: number;
    /** Nats a token. */
    readonly kl: number;
    readonly top_agreement: number;
  } | null;
}

/** Answer of `GET /v1/experts`. */
export interface WireExpertList {
  readonly object: "list";
  readonly memory_budget_bytes: number;
  readonly memory_used_bytes: number;
  readonly data: readonly WireExpert[];
}

/** @param memoryBytes budget */
export function toWireExperts(
  experts: readonly ExpertSnapshot[],
  memoryBytes: number,
): WireExpertList {
  return {
    object: "list",
    memory_budget_bytes: memoryBytes,
    memory_used_bytes: usedBytes(experts),
    data: experts.map(toWireExpert),
  };
}

/** Of the memory budget, which the unpruned middle is no part of. */
function usedBytes(experts: readonly ExpertSnapshot[]): number {
  const counted = experts.filter(({ name }) => name !== denseExpert);
  return counted.reduce((sum, { residentBytes }) => sum + residentBytes, 0);
}

export function toWireExpert(expert: ExpertSnapshot): WireExpert {
  const { name, state, built, progress, running, hits, misses, evictions, problem, shadow } =
    expert;
  return {
    id: name,
    object: "expert",
    state,
    resident_bytes: expert.residentBytes,
    size_bytes: built?.sizeBytes ?? null,
    artifact: built?.key ?? null,
    sparsity: built?.sparsity ?? null,
    held_out_loss_increase: built?.lossIncrease ?? null,
    build_seconds: built?.buildSeconds ?? null,
    load_seconds: expert.loadSeconds,
    progress: progress && { phase: progress.phase, share: progress.share },
    running,
    hits,
    misses,
    evictions,
    last_used_at: isoTime(expert.lastUsedMs),
    problem,
    retry_at: isoTime(expert.retryAtMs),
    shadow: shadow && {
      requests: shadow.requests,
      tokens: shadow.tokens,
      kl: shadow.kl,
      top_agreement: shadow.topAgreement,
    },
  };
}

function isoTime(ms: number | null): string | null {
  return ms === null ? null : new Date(ms).toISOString();
}
