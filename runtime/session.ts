import { InferenceSession } from "onnxruntime-node";
import type { GraphModel } from "../model/graph/graph-builder.ts";
import { RuntimeError } from "./errors.ts";
import type { Feeds } from "./tensor.ts";

export interface SessionOptions {
  /** What the graph is, to begin a message with. */
  readonly title: string;
  /** Threads of one pass. */
  readonly numThreads: number;
}

/** A graph in ONNX Runtime's CPU provider, with a copy of its weights. */
export class Session {
  readonly #title: string;
  #session: InferenceSession | null;

  private constructor(title: string, session: InferenceSession) {
    this.#title = title;
    this.#session = session;
  }

  /** @throws RuntimeError when ONNX Runtime refuses the graph; nothing is kept then. */
  static async load(model: GraphModel, { title, numThreads }: SessionOptions): Promise<Session> {
    try {
      const session = await InferenceSession.create(model.graph, {
        executionProviders: ["cpu"],
        intraOpNumThreads: numThreads,
        externalData: Array.from(model.weights, ([path, data]) => ({ path, data })),
        // Threads of one session must not spin while another session runs.
        extra: { session: { force_spinning_stop: "1" } },
        logSeverityLevel: 4, // errors are thrown
      });
      return new Session(title, session);
    } catch (cause) {
      throw new RuntimeError(`${title} could not be loaded: ${String(cause)}`, { cause });
    }
  }

  /**
   * @returns what was fetched, in memory of its own
   * @param fetches outputs to be copied out; the others are not
   * @throws RuntimeError when the pass fails, and after the release
   */
  async run<Data = Float32Array>(
    feeds: Feeds,
    fetches: readonly string[],
  ): Promise<Readonly<Record<string, Data>>> {
    if (this.#session === null) throw new RuntimeError(`${this.#title} was released.`);
    let results: InferenceSession.ReturnType;
    try {
      results = await this.#session.run(feeds, fetches);
    } catch (cause) {
      throw new RuntimeError(`${this.#title} failed: ${String(cause)}`, { cause });
    }
    return Object.fromEntries(fetches.map((name) => [name, results[name]!.data as Data]));
  }

  /** May be called twice. */
  async release(): Promise<void> {
    const session = this.#session;
    this.#session = null;
    await session?.release();
  }
}
