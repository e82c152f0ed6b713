import { SequenceRouting } from "../engine/sequence/routing.ts";
import { ClusterRouter } from "../router/cluster-router.ts";
import { numTrunkFeatures } from "../router/features.ts";
import { createPromptRouter } from "../router/prompt-router.ts";
import type { PromptRouter } from "../router/prompt-router.ts";
import { wholePrompt } from "../router/prompt-spans.ts";

// As the router of the built-in tasks: 8 tasks and some kinds of other prompts.
const numDimensions = 15;
const numClusters = 80;
const numTasks = 8;
/** Of a prompt, in one step. */
const chunkTokens = 128;

/** What routing adds to a prefill, with a router of the usual size whose decisions mean nothing. */
export class RoutingSide {
  readonly #hiddenSize: number;
  readonly #chunk: Float32Array;
  readonly #router: PromptRouter;

  constructor(hiddenSize: number) {
    this.#hiddenSize = hiddenSize;
    this.#chunk = Float32Array.from(numbers(chunkTokens * hiddenSize, 1));
    const numFeatures = numTrunkFeatures(hiddenSize);
    const router = new ClusterRouter({
      model: null,
      projection: {
        center: numbers(numFeatures, 0),
        matrix: Array.from({ length: numDimensions }, (_, i) => numbers(numFeatures, i)),
      },
      clusters: Array.from({ length: numClusters }, (_, i) => ({
        task: `task-${i % numTasks}`,
        centroid: numbers(numDimensions, i),
      })),
      temperature: 1,
      threshold: Infinity,
    });
    this.#router = createPromptRouter(router, hiddenSize);
  }

  /** @returns seconds for a prompt of `numTokens` tokens */
  route(numTokens: number): number {
    const request = { spans: wholePrompt(numTokens) };
    const routing = new SequenceRouting(request, this.#router, () => performance.now());
    routing.begin();
    for (let start = 0; start < numTokens; start += chunkTokens) {
      const length = Math.min(chunkTokens, numTokens - start);
      routing.add(this.#chunk.subarray(0, length * this.#hiddenSize));
    }
    routing.decide();
    return routing.seconds;
  }
}

function numbers(length: number, seed: number): Float64Array {
  return Float64Array.from({ length }, (_, i) => Math.sin(i * 7919 + seed * 104_729));
}
