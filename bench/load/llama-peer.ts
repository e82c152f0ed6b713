import { bestSetting } from "./llama-settings.ts";
import { llamaSide } from "./llama-side.ts";
import { llamaTools } from "./llama-tools.ts";
import type { LlamaTools } from "./llama-tools.ts";
import { llamaWeights } from "./llama-weights.ts";
import type { LlamaReport, SettingSpeed } from "./report.ts";
import type { Side, SideOptions } from "./side.ts";
import type { Session } from "./workloads.ts";

/** Those of llama.cpp's formats that are like one of ours; `file` is the file as it is. */
const likeFormats = { q8: ["Q8_0"], q4: ["file", "Q4_0", "Q4_K_M"] } as const;

export type ComparedFormat = keyof typeof likeFormats;

export const comparedFormats = Object.keys(likeFormats) as ComparedFormat[];

export interface LlamaPeerOptions extends SideOptions {
  readonly cacheDir: string;
  /** What settings are tried with. */
  readonly sessions: readonly Session[];
  readonly log: (line: string) => void;
}

/** llama.cpp's server in its best settings, where it can be had; else why it cannot. */
export class LlamaPeer {
  readonly #options: LlamaPeerOptions;
  readonly #speeds: SettingSpeed[] = [];
  #tools: LlamaTools | { readonly problem: string };

  private constructor(options: LlamaPeerOptions, tools: LlamaTools | { readonly problem: string }) {
    this.#options = options;
    this.#tools = tools;
    if ("problem" in tools) this.#giveUp(tools.problem);
  }

  /** Builds it where it is not there. */
  static async open(options: LlamaPeerOptions): Promise<LlamaPeer> {
    const { modelPath, cacheDir, log } = options;
    const tools = modelPath.endsWith(".gguf")
      ? await llamaTools(cacheDir, log)
      : { problem: "it reads GGUF files alone" };
    return new LlamaPeer(options, tools);
  }

  /** The fastest of its settings with weights like ours, or null where it does not run. */
  async like(format: ComparedFormat): Promise<Side | null> {
    if ("problem" in this.#tools) return null;
    const { modelPath, threads } = this.#options;
    const { server: program } = this.#tools;
    try {
      const weights = [];
      for (const like of likeFormats[format]) {
        weights.push(
          like === "file"
            ? { format: like, modelPath }
            : await llamaWeights(this.#tools, { ...this.#options, format: like }),
        );
      }
      const { best, speeds } = await bestSetting(weights, { ...this.#options, program });
      this.#speeds.push(...speeds);
      return llamaSide(program, best, threads);
    } catch (error) {
      this.#giveUp((error as Error).message);
      return null;
    }
  }

  get report(): LlamaReport {
    if ("problem" in this.#tools) return this.#tools;
    const { version, buildSeconds } = this.#tools;
    return { version, buildSeconds, settings: this.#speeds };
  }

  #giveUp(problem: string): void {
    this.#tools = { problem };
    this.#options.log(`no comparison with llama.cpp: ${problem}`);
  }
}
