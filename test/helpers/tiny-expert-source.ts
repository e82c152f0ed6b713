import { join } from "node:path";
import type { BuiltExpert, ExpertBuilder } from "../../engine/contract/experts.ts";
import { ArtifactStore } from "../../model/experts/artifact-store.ts";
import { expertArtifact } from "../../model/experts/expert-artifact.ts";
import { createExpertPlan, planShapes } from "../../model/experts/expert-plan.ts";
import { buildMiddleSegments, stageBorders, totalBytes } from "../../model/stages/model-stages.ts";
import { openModel } from "../../model/weights/open-model.ts";
import { prunedWeights } from "../../model/experts/pruned-weights.ts";
import type { ExpertSource } from "../../server/experts/expert-source.ts";
import type { Gate } from "./fake-engine.ts";

/** Real experts of a model file, each without other channels; no calibration, so that a build takes milliseconds. */
export class TinyExpertSource implements ExpertSource {
  readonly tasks: readonly string[];
  /** Of all builds that began. */
  readonly began: string[] = [];
  /** Builds wait for the gate of their task. */
  readonly gates = new Map<string, Gate>();
  readonly #modelPath: string;
  readonly #store: ArtifactStore;

  /** @param dir of the artifacts */
  constructor(modelPath: string, dir: string, tasks: readonly string[]) {
    this.tasks = tasks;
    this.#modelPath = modelPath;
    this.#store = new ArtifactStore(join(dir, "artifacts"));
  }

  createBuilder(): ExpertBuilder {
    return {
      find: () => Promise.resolve(null),
      build: async (task, { signal, onProgress }) => {
        this.began.push(task);
        onProgress({ phase: "pruning", share: 0.5 });
        await this.gates.get(task)?.opened;
        signal.throwIfAborted();
        return this.build(task);
      },
    };
  }

  async build(task: string): Promise<BuiltExpert> {
    const { weights } = await openModel(this.#modelPath);
    try {
      const { config } = weights;
      const { middle, head } = stageBorders(config);
      const range = (length: number) => Array.from({ length }, (_, i) => i);
      const { numHeads, numKvHeads, intermediateSize } = config;
      const shift = [...task].reduce((sum, letter) => sum + letter.charCodeAt(0), 0);
      const keptChannels = range(intermediateSize).filter(
        (channel) => (channel * 7 + shift) % intermediateSize < (intermediateSize * 2) / 3,
      );
      const keptHeads = range(numHeads);
      const keptKvHeads = range(numKvHeads);
      const layers = range(head - middle).map(() => ({ keptHeads, keptKvHeads, keptChannels }));
      const plan = createExpertPlan(weights, { task, recipe: {}, layers });
      const segments = buildMiddleSegments(prunedWeights(weights, plan), "q8", {
        name: task,
        shapes: planShapes(plan),
      });
      const { metadata, files } = expertArtifact({ plan, segments });
      const artifact = await this.#store.write(`expert-${task}`, metadata, files);
      return {
        key: artifact.key,
        storeDir: this.#store.dir,
        sizeBytes: totalBytes(segments),
        sparsity: plan.sparsity.middle,
        lossIncrease: 0.05,
        buildSeconds: 0.1,
      };
    } finally {
      weights.close();
    }
  }
}
