/** What is told of many values; all null where there are none. */
export interface Distribution {
  readonly count: number;
  readonly mean: number | null;
  readonly p50: number | null;
  readonly p90: number | null;
  readonly p99: number | null;
  readonly max: number | null;
}

/**
 * The value below which a share of all lies, between two neighbours in proportion (as NumPy does by default).
 * @param sorted ascending
 * @param share 0 to 1
 * @returns null where there are no values
 */
export function percentile(sorted: readonly number[], share: number): number | null {
  if (sorted.length === 0) return null;
  const place = share * (sorted.length - 1);
  const below = Math.floor(place);
  const low = sorted[below]!;
  const high = sorted[Math.min(below + 1, sorted.length - 1)]!;
  return low + (place - below) * (high - low);
}

export function median(values: readonly number[]): number | null {
  return percentile(ascending(values), 0.5);
}

export function distribution(values: readonly number[]): Distribution {
  const sorted = ascending(values);
  const count = sorted.length;
  return {
    count,
    mean: count === 0 ? null : sorted.reduce((sum, value) => sum + value, 0) / count,
    p50: percentile(sorted, 0.5),
    p90: percentile(sorted, 0.9),
    p99: percentile(sorted, 0.99),
    max: sorted.at(-1) ?? null,
  };
}

export function ascending(values: readonly number[]): number[] {
  return values.toSorted((a, b) => a - b);
}
