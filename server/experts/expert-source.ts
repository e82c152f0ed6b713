import type { ExpertBuilder } from "../../engine/contract/experts.ts";
import type { Config } from "../config/config.ts";

/** Where experts come from. */
export interface ExpertSource {
  /** Tasks that it can build experts of; `general` is not among them. */
  readonly tasks: readonly string[];
  createBuilder(options: ExpertBuilderOptions): ExpertBuilder;
}

export interface ExpertBuilderOptions {
  /** GGUF file or model folder. */
  readonly modelPath: string;
  /** Of the model. */
  readonly contentHash: string;
  readonly weights: Config["weights"];
  /** Undefined for the user's cache folder. */
  readonly cacheDir: string | undefined;
  readonly settings: ExpertBuildSettings;
  /** One line for a person. */
  readonly log: (line: string) => void;
}

export interface ExpertBuildSettings {
  /** By task, and of `general`; no other is ever asked for. */
  readonly tasks: Readonly<Record<string, ExpertBudget>>;
  /** Of its corpus, that an expert is calibrated with. */
  readonly tokens: number;
}

/** What may go: a share of the middle's parameters, or what raises held-out perplexity by no more than a share. */
export type ExpertBudget = { readonly sparsity: number } | { readonly maxLossIncrease: number };
