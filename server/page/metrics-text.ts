/** Samples of a page of metrics, by name and labels as printed. */
export type Samples = ReadonlyMap<string, number>;

/** Reads the text format of Prometheus. */
export function parseMetrics(text: string): Samples {
  const samples = new Map<string, number>();
  for (const line of text.split("\n")) {
    const space = line.lastIndexOf(" ");
    if (line.startsWith("#") || space < 0) continue;
    samples.set(line.slice(0, space), Number(line.slice(space + 1)));
  }
  return samples;
}

/**
 * The value below which a share of what a histogram has counted lies, between two scrapes or, without a first one, since
 * the start. Within a bucket the values count as evenly spread.
 * @returns null where nothing was counted
 */
export function quantile(
  histogram: string,
  share: number,
  { from, to }: { readonly from?: Samples; readonly to: Samples },
): number | null {
  const buckets = [...to].flatMap(([name, count]) => {
    const [, edge] = /_bucket\{le="([^"]+)"\}$/.exec(name) ?? [];
    if (edge === undefined || !name.startsWith(`${histogram}_bucket`)) return [];
    const counted = count - (from?.get(name) ?? 0);
    return [{ edge: edge === "+Inf" ? Infinity : Number(edge), counted }];
  });
  buckets.sort((a, b) => a.edge - b.edge);
  const wanted = share * (buckets.at(-1)?.counted ?? 0);
  if (wanted === 0) return null;
  let [low, below] = [0, 0];
  for (const { edge, counted } of buckets) {
    if (counted >= wanted) {
      if (edge === Infinity) return low;
      return low + ((edge - low) * (wanted - below)) / (counted - below);
    }
    [low, below] = [edge, counted];
  }
  return null;
}
