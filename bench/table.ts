/** Tokens per second. */
export interface Measurement {
  readonly name: string;
  readonly seap: number;
  /** null where llama.cpp was not measured. */
  readonly llama: number | null;
}

export interface HttpMeasurement {
  /** Of a prompt of 128 tokens on an idle server. */
  readonly firstTokenSeconds: number;
  /** A decode step of 8 sequences in the bare engine. */
  readonly bareStepSeconds: number;
  /** The same through HTTP, as a client sees it. */
  readonly servedStepSeconds: number;
  readonly residentBytes: number;
}

export interface BenchResult {
  readonly machine: string;
  readonly weights: string;
  readonly measurements: readonly Measurement[];
  readonly http: HttpMeasurement;
}

/** The result as Markdown. */
export function formatTable({ machine, weights, measurements, http }: BenchResult): string {
  const rows = measurements.map(({ name, seap, llama }) => {
    const peer = llama === null ? "–" : llama.toFixed(0);
    const ratio = llama === null ? "–" : (seap / llama).toFixed(2);
    return `| ${name} | ${seap.toFixed(0)} | ${peer} | ${ratio} |`;
  });
  const milliseconds = (seconds: number) => `${(seconds * 1000).toFixed(1)} ms`;
  const overhead = (http.servedStepSeconds / http.bareStepSeconds - 1) * 100;
  return `${machine}: seap with ${weights} weights, llama.cpp with the file's

| tokens/s | seap | llama.cpp | ratio |
|---|---|---|---|
${rows.join("\n")}

| through HTTP | |
|---|---|
| time to first token, prompt of 128 tokens | ${milliseconds(http.firstTokenSeconds)} |
| decode step, batch 8, bare engine | ${milliseconds(http.bareStepSeconds)} |
| decode step, batch 8, HTTP + worker | ${milliseconds(http.servedStepSeconds)} (${overhead.toFixed(1)} % more) |
| resident memory of the server | ${(http.residentBytes / 2 ** 20).toFixed(0)} MiB |
`;
}
