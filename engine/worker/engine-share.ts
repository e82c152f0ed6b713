import type { EngineOptions } from "./engine.ts";

/**
 * What one of several engines gets: its share of the threads, the batch and all memory. How many requests may wait is for
 * their group to say.
 * @param index from 0
 * @param count at most the threads and the batch
 */
export function engineShare(options: EngineOptions, index: number, count: number): EngineOptions {
  const { experts } = options;
  // Those of all engines are the whole.
  const part = (whole: number) => Math.floor((whole + index) / count);
  return {
    ...options,
    // The same for all, so that none is slower.
    threads: Math.floor(options.threads / count),
    maxBatch: part(options.maxBatch),
    kvMemoryBytes: part(options.kvMemoryBytes),
    prefixCacheBytes: part(options.prefixCacheBytes),
    maxWaitingRequests: Infinity,
    maxWaitingTokens: Infinity,
    ...(experts && {
      experts: {
        builder: experts.builder,
        options: {
          ...experts.options,
          memoryBytes: part(experts.options.memoryBytes),
          maxParked: Math.max(1, part(experts.options.maxParked)),
        },
      },
    }),
  };
}
