import type { ModelWeights } from "../../model/weights/config.ts";
import { denseShape } from "../../model/weights/layer-spec.ts";
import { buildStage } from "../../model/stages/build-stage.ts";
import type { WeightFormat } from "../../model/weights/quantize.ts";
import type { AttentionFeeds } from "../../runtime/attention-feeds.ts";
import { StageSession } from "../../runtime/stage-session.ts";
import type { StageResults } from "../../runtime/stage-session.ts";
import { tensor } from "../../runtime/tensor.ts";
import type { Feeds } from "../../runtime/tensor.ts";
import { calibrationObserver, observedRoles, outerBlocks } from "./calibration-graph.ts";
import type { OuterBlock } from "./calibration-graph.ts";
import { ModuleStatistics } from "./statistics.ts";
import type { LayerStatistics } from "./statistics.ts";

export interface LayerCalibrationOptions {
  readonly layer: number;
  readonly format: WeightFormat;
  /** Weighted sums of x xᵀ as well. */
  readonly withComoment: boolean;
  readonly numThreads: number;
}

/** One dense layer and the sums over the tokens that have passed it. */
export class LayerCalibration {
  readonly #session: StageSession;
  readonly #modules: Readonly<Record<(typeof observedRoles)[number], ModuleSums>>;

  private constructor(session: StageSession, output: ModuleSums, down: ModuleSums) {
    this.#session = session;
    this.#modules = { output, down };
  }

  /** @throws RuntimeError when ONNX Runtime refuses the layer. */
  static async load(
    weights: ModelWeights,
    { layer, format, withComoment, numThreads }: LayerCalibrationOptions,
  ): Promise<LayerCalibration> {
    const { config } = weights;
    const { numHeads, intermediateSize } = denseShape(config);
    const stage = buildStage(weights, {
      name: `calibration.${layer}`,
      firstLayer: layer,
      numLayers: 1,
      hasEmbedding: false,
      hasHead: false,
      format,
    });
    const observe = calibrationObserver({ hiddenSize: config.hiddenSize, withComoment });
    const session = await StageSession.load(stage, numThreads, observe);
    return new LayerCalibration(
      session,
      new ModuleSums("output", numHeads * config.headDim, withComoment),
      new ModuleSums("down", intermediateSize, withComoment),
    );
  }

  /**
   * Passes a batch through and counts it.
   * @param input hidden states before the layer, of whole sequences
   * @param tokenRows the tokens to count
   * @returns the hidden states after the layer
   * @throws RuntimeError when the pass fails
   */
  async run(
    input: Float32Array,
    attention: AttentionFeeds,
    tokenRows: BigInt64Array,
  ): Promise<Float32Array> {
    const { output, down } = this.#modules;
    const modules = [output, down];
    const feeds: Feeds = {
      token_rows: tensor(tokenRows, [tokenRows.length]),
      ...output.feeds(),
      ...down.feeds(),
    };
    const fetches = modules.flatMap((module) => module.fetches);
    const results = await this.#session.run({ input, attention, observed: { feeds, fetches } });
    for (const module of modules) module.add(results.observed, tokenRows.length);
    return results.hidden;
  }

  statistics(): LayerStatistics {
    const { output, down } = this.#modules;
    return { attention: output.statistics(), mlp: down.statistics() };
  }

  async release(): Promise<void> {
    await this.#session.release();
  }
}

/** Sums of one module's input. Vectors add up here in double precision, matrices in the graph. */
class ModuleSums {
  readonly fetches: readonly string[];
  readonly #role: string;
  readonly #size: number;
  readonly #blocks: readonly OuterBlock[];
  readonly #vectors: ReadonlyMap<string, Float64Array>;
  #outer: readonly Float32Array[];
  #count = 0;

  constructor(role: (typeof observedRoles)[number], size: number, withComoment: boolean) {
    this.#role = role;
    this.#size = size;
    this.#blocks = withComoment ? outerBlocks(role, size) : [];
    this.#outer = this.#blocks.map(({ start, end }) => new Float32Array((end - start) * end));
    const lengths = {
      sum: size,
      sum_of_squares: size,
      ...(withComoment && { weight: 1, weighted_sum: size }),
    };
    this.#vectors = new Map(
      Object.entries(lengths).map(([name, length]) => [
        `${role}.${name}`,
        new Float64Array(length),
      ]),
    );
    this.fetches = [...this.#vectors.keys(), ...this.#blocks.map(({ output }) => output)];
  }

  feeds(): Feeds {
    return Object.fromEntries(
      this.#blocks.map(({ feed, start, end }, block) => [
        feed,
        tensor(this.#outer[block]!, [end - start, end]),
      ]),
    );
  }

  add(results: StageResults["observed"], numTokens: number): void {
    this.#count += numTokens;
    for (const [name, total] of this.#vectors) {
      const values = results[name]!;
      for (let j = 0; j < total.length; j++) total[j]! += values[j]!;
    }
    this.#outer = this.#blocks.map(({ output }) => results[output]!);
  }

  statistics(): ModuleStatistics {
    const withComoment = this.#blocks.length > 0;
    const statistics = ModuleStatistics.empty(this.#size, { withComoment });
    const vector = (name: string): Float64Array => this.#vectors.get(`${this.#role}.${name}`)!;
    statistics.addBatch({
      count: this.#count,
      sum: vector("sum"),
      sumOfSquares: vector("sum_of_squares"),
      ...(withComoment && {
        weighted: {
          weight: vector("weight")[0]!,
          sum: vector("weighted_sum"),
          outer: this.#joinBlocks(),
        },
      }),
    });
    return statistics;
  }

  /** Shape `[size, size]`, the lower triangle filled. */
  #joinBlocks(): Float32Array {
    const size = this.#size;
    const matrix = new Float32Array(size * size);
    for (const [block, { start, end }] of this.#blocks.entries()) {
      const values = this.#outer[block]!;
      for (let row = start; row < end; row++) {
        const from = (row - start) * end;
        matrix.set(values.subarray(from, from + end), row * size);
      }
    }
    return matrix;
  }
}
