import { attentionFeedNames, feedNames, resultNames } from "../model/graph/feed-names.ts";
import { writeStage } from "../model/graph/stage-graph.ts";
import type { ModuleObserver } from "../model/graph/module-observer.ts";
import type { StageModel, StageSpec } from "../model/stages/stage-spec.ts";
import type { AttentionFeeds } from "./attention-feeds.ts";
import { noPastFeeds } from "./past-feeds.ts";
import { Session } from "./session.ts";
import type { Feeds } from "./tensor.ts";
import { integers, tensor } from "./tensor.ts";

export interface StagePass {
  /** Token ids for a stage with the embedding, else hidden states `[numSequences, numNewTokens, hiddenSize]`. */
  readonly input: BigInt64Array | Float32Array;
  readonly attention: AttentionFeeds;
  /** Of `pastFeeds`. @default the sequences have no past, and their keys and values are not asked for */
  readonly past?: Feeds;
  /** Of a stage with the head: new tokens that go on, and those of them whose logits are wanted. */
  readonly rows?: { readonly kept: readonly number[]; readonly logits: readonly number[] };
  /** What else a stage is fed and gives whose modules are observed. */
  readonly observed?: { readonly feeds: Feeds; readonly fetches: readonly string[] };
}

export interface StageResults {
  /** `[numSequences, numNewTokens or rows kept, hiddenSize]` */
  readonly hidden: Float32Array;
  /** `[numSequences, rows of logits, vocabSize]`; with rows. */
  readonly logits?: Float32Array;
  /**
   * Keys of a layer and behind them its values, `[numSequences, 2 * kvHeads of all layers, 1, 1, numNewTokens, headDim]`; with
   * a past, where a layer has attention.
   */
  readonly newKv?: Float32Array;
  /** What was fetched besides, by name. */
  readonly observed: Readonly<Record<string, Float32Array>>;
}

/** A stage in a graph of its own: the only one that knows how that wants to be fed and what its results are called. */
export class StageSession {
  readonly spec: StageSpec;
  readonly #session: Session;
  /** Names of what its attention is fed besides the past; none where no layer has attention. */
  readonly #attentionFeeds: readonly string[];

  private constructor(spec: StageSpec, session: Session) {
    this.spec = spec;
    this.#session = session;
    this.#attentionFeeds = attentionFeedNames(spec);
  }

  /**
   * Keeps nothing of the weights: the session has its own copy.
   * @throws RuntimeError when ONNX Runtime refuses the stage; nothing is kept then.
   */
  static async load(
    model: StageModel,
    numThreads: number,
    observe?: ModuleObserver,
  ): Promise<StageSession> {
    const title = `Stage ${model.spec.name}`;
    const session = await Session.load(writeStage(model, observe), { title, numThreads });
    return new StageSession(model.spec, session);
  }

  /** @throws RuntimeError when the pass fails */
  async run({ input, attention, past, rows, observed }: StagePass): Promise<StageResults> {
    const { layers, headDim, hiddenSize } = this.spec;
    const { numSequences, numNewTokens, tailLength } = attention;
    const dims = [numSequences, numNewTokens];
    const fetches: string[] = [resultNames.hidden, ...(observed?.fetches ?? [])];
    if (rows) fetches.push(resultNames.logits);
    if (past && this.#attentionFeeds.length > 0) {
      fetches.push(resultNames.newKv);
    }
    const results = await this.#session.run(
      {
        ...(input instanceof Float32Array
          ? { [feedNames.hidden]: tensor(input, [...dims, hiddenSize]) }
          : { [feedNames.tokenIds]: tensor(input, dims) }),
        ...(rows && {
          [feedNames.rows]: integers(rows.kept),
          [feedNames.logitRows]: integers(rows.logits),
        }),
        ...this.#attentionFeedsOf(attention, rows?.kept),
        ...(past ?? noPastFeeds(layers, { numSequences, headDim, tailLength })),
        ...observed?.feeds,
      },
      fetches,
    );
    const optional = Object.entries(resultNames).flatMap(([key, name]) =>
      name in results ? [[key, results[name]!] as const] : [],
    );
    return {
      ...Object.fromEntries(optional),
      hidden: results[resultNames.hidden]!,
      observed: results,
    };
  }

  #attentionFeedsOf(attention: AttentionFeeds, kept: readonly number[] = []): Feeds {
    const { layers, hasHead } = this.spec;
    const all = { ...attention.feeds, ...(hasHead && attention.keptFeeds(kept)) };
    for (const layer of layers) {
      if (layer.numHeads > 0) Object.assign(all, attention.rotaryRows(layer));
    }
    return Object.fromEntries(this.#attentionFeeds.map((name) => [name, all[name]!]));
  }

  /** The hidden states after whole sequences, shaped as those before. @throws RuntimeError when the pass fails */
  async hiddenAfter(
    input: BigInt64Array | Float32Array,
    attention: AttentionFeeds,
  ): Promise<Float32Array> {
    return (await this.run({ input, attention })).hidden;
  }

  /** May be called twice. */
  async release(): Promise<void> {
    await this.#session.release();
  }
}
