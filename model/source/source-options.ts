/** How far the fetching of a model is. */
export interface SourceProgress {
  readonly phase: "download";
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
  /** Names of models whose licenses the user has accepted. */
  readonly acceptedLicenses: readonly string[];
  readonly onProgress: (progress: SourceProgress) => void;
  /** Takes one line about something unexpected that was dealt with. */
  readonly log: (line: string) => void;
}
