/** How far the fetching of a model is. */
export interface SourceProgress {
  readonly phase: "download" | "extract";
  readonly receivedBytes: number;
  readonly totalBytes: number;
}

export interface SourceOptions {
  /** Where downloaded models are kept; several processes may share it. */
  readonly cacheDir: string;
  /** `HF_TOKEN`, `HF_ENDPOINT`, and the environment of pip. */
  readonly env: NodeJS.ProcessEnv;
  /** Use what is in the cache folder, ask nobody. */
  readonly offline: boolean;
  readonly onProgress: (progress: SourceProgress) => void;
  /** Takes one line about something unexpected that was dealt with. */
  readonly log: (line: string) => void;
}
