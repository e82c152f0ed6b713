/** One of the servers that are compared, with a setting of it. */
export interface Side {
  readonly name: "seap" | "llama.cpp";
  /** Weights and what else was chosen, for people. */
  readonly setting: string;
  /** @param usesCache whether the server may keep the beginnings of prompts */
  start(usesCache: boolean): Promise<RunningServer>;
}

export interface RunningServer {
  readonly url: string;
  readonly residentBytes: number;
  close(): Promise<void>;
}

/** What all sides are given. */
export interface SideOptions {
  readonly modelPath: string;
  readonly threads: number;
}

/** Streams that a server has room for at once. */
export const maxStreams = 16;
/** Tokens that each of them can hold. */
export const contextTokens = 4096;
