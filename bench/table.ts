/** Tokens per second. */
export interface SpeedMeasurement {
  readonly name: string;
  readonly seap: number;
  /** null where llama.cpp was not measured. */
  readonly llama: number | null;
}

/** What choosing a task costs. */
export interface RoutingMeasurement {
  /** Tokens of the prompt. */
  readonly numTokens: number;
  readonly seconds: number;
  readonly prefillSeconds: number;
}

export interface HttpMeasurement {
  /** To the first token of a prompt of 128 tokens on an idle server. */
  readonly firstTokenSeconds: number;
  /** To the first token of a prompt of 1,024 tokens, and of one that goes on from there with 64 more. */
  readonly conversation: { readonly newSeconds: number; readonly nextSeconds: number };
  /** A decode step of 8 sequences in the bare engine. */
  readonly bareStepSeconds: number;
  /** A decode step of 8 sequences through HTTP, as a client sees it. */
  readonly servedStepSeconds: number;
  readonly residentBytes: number;
}

export interface BenchResult {
  readonly machine: string;
  readonly weights: string;
  readonly measurements: readonly SpeedMeasurement[];
  readonly routing: readonly RoutingMeasurement[];
  readonly http: HttpMeasurement;
}

/** The result as Markdown. */
export function formatTable(result: BenchResult): string {
  const { machine, weights, measurements, routing, http } = result;
  const rows = measurements.map(({ name, seap, llama }) => {
    const peer = llama === null ? "–" : llama.toFixed(0);
    const ratio = llama === null ? "–" : (seap / llama).toFixed(2);
    return `| ${name} | ${seap.toFixed(0)} | ${peer} | ${ratio} |`;
  });
  const routed = routing.map(({ numTokens, seconds, prefillSeconds }) => {
    const share = ((100 * seconds) / prefillSeconds).toFixed(2);
    return `| prompt of ${numTokens} tokens | ${(seconds * 1e6).toFixed(0)} µs (${share} % of its prefill) |`;
  });
  const milliseconds = (seconds: number) => `${(seconds * 1000).toFixed(1)} ms`;
  const overhead = (http.servedStepSeconds / http.bareStepSeconds - 1) * 100;
  return `${machine}: seap with ${weights} weights, llama.cpp with the file's

| tokens/s | seap | llama.cpp | ratio |
|---|---|---|---|
${rows.join("\n")}

| routing | |
|---|---|
${routed.join("\n")}

| through HTTP | |
|---|---|
| time to first token, prompt of 128 tokens | ${milliseconds(http.firstTokenSeconds)} |
| of 1,024 tokens, nothing of it in the prefix cache | ${milliseconds(http.conversation.newSeconds)} |
| of these and 64 more, as in the next turn | ${milliseconds(http.conversation.nextSeconds)} |
| decode step, batch 8, bare engine | ${milliseconds(http.bareStepSeconds)} |
| decode step, batch 8, HTTP + worker | ${milliseconds(http.servedStepSeconds)} (${overhead.toFixed(1)} % more) |
| resident memory of the server | ${(http.residentBytes / 2 ** 20).toFixed(0)} MiB |
`;
}
