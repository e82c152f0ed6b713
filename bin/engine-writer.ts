import { startEngine } from "../engine/worker/engine.ts";
import type { Engine, GenerateRequest, SamplingParams } from "../engine/contract/request.ts";
import type { Tokenizer } from "../model/text/tokenizer.ts";
import type { Writer } from "../prune/tasks/calibration-text.ts";

export interface EngineWriterOptions {
  /** GGUF file or model folder. */
  readonly modelPath: string;
  readonly tokenizer: Tokenizer;
  /** Of the model's configuration; a tokenizer may have fewer. */
  readonly vocabSize: number;
  /** Longest prompt with its answer; at most the model's context. */
  readonly maxSequenceTokens: number;
  /** Answers written at the same time. */
  readonly concurrency: number;
  readonly numThreads: number;
  /** Called with a line for a person while the model loads. */
  readonly log?: (line: string) => void;
  /** Ends answers in the making, with its reason. */
  readonly signal?: AbortSignal;
}

/** Of the available memory. */
const kvShare = 0.25;

/** As people sample: without the tail, whose tokens a small model gets wrong. */
const sampling: Omit<SamplingParams, "seed"> = {
  temperature: 0.8,
  topP: 0.95,
  topK: 0,
  minP: 0,
  repetitionPenalty: 1,
  repetitionWindow: Infinity,
  frequencyPenalty: 0,
  presencePenalty: 0,
  logitBias: [],
};

/** The dense model in an engine of its own, which starts with the first answer. The caller closes it. */
export class EngineWriter implements Writer {
  readonly #options: EngineWriterOptions;
  #engine: Promise<Engine> | null = null;
  #numRequests = 0;

  constructor(options: EngineWriterOptions) {
    this.#options = options;
  }

  /**
   * The answer's text, read as the server would read it, with the token that ends it.
   * @throws ModelLoadError, InferenceError, and the signal's reason
   */
  async write(promptIds: Uint32Array, maxTokens: number, seed: number): Promise<Uint32Array> {
    const { tokenizer, signal } = this.#options;
    const engine = await (this.#engine ??= this.#start());
    const request: GenerateRequest = {
      id: `answer-${this.#numRequests++}`,
      promptTokenIds: promptIds,
      maxTokens,
      sampling: { ...sampling, seed },
      stop: [],
      ignoreEos: false,
    };
    let text = "";
    let hasEnded = false;
    try {
      // A signal of its own: all of them listening to one would make Node warn of a leak.
      const own = signal && AbortSignal.any([signal]);
      for await (const event of engine.generate(request, own)) {
        if (!("text" in event)) continue;
        text += event.text;
        hasEnded = event.type === "finish" && event.reason === "stop";
      }
    } catch (error) {
      signal?.throwIfAborted();
      throw error;
    }
    if (text === "") return new Uint32Array();
    const ids = [...tokenizer.encode(text, { parseSpecial: false, addBos: false })];
    if (hasEnded && tokenizer.eosTokenId !== null) ids.push(tokenizer.eosTokenId);
    return Uint32Array.from(ids.slice(0, maxTokens));
  }

  /** May be called twice. */
  async close(): Promise<void> {
    const engine = await this.#engine?.catch(() => null);
    await engine?.close();
  }

  #start(): Promise<Engine> {
    const { modelPath, tokenizer, vocabSize, maxSequenceTokens, concurrency, numThreads, log } =
      this.#options;
    return startEngine({
      modelPath,
      weights: "q8",
      threads: numThreads,
      contextLength: maxSequenceTokens,
      vocabSize,
      maxBatch: concurrency,
      kvMemoryBytes: Math.floor(process.availableMemory() * kvShare),
      prefixCacheBytes: 0,
      tokenTable: tokenizer.tokenTable,
      maxWaitingRequests: concurrency,
      maxWaitingTokens: concurrency * maxSequenceTokens,
      ...(log && { onProgress: log }),
    });
  }
}
