import { checkFeatures } from "./router.ts";
import type { Decision, Router } from "./router.ts";
import { linearScores, softmax } from "./softmax-regression.ts";
import type { LinearScores } from "./softmax-regression.ts";

/** What a fitted `logistic` router consists of. */
export interface LogisticParameters {
  readonly model: string | null;
  /** Sorted; the classes of `scores`. */
  readonly tasks: readonly string[];
  /** Of the features as they come, not standardised. */
  readonly scores: LinearScores;
  /** Strangeness, which is one minus the largest probability, above which a prompt is none of the tasks'. */
  readonly threshold: number;
}

/** Logistic regression on mean input embeddings, as SEAP's published code classifies tasks. To compare with. */
export class LogisticRouter implements Router {
  readonly kind = "logistic";
  readonly featureKind = "embedding";
  readonly numFeatures: number;
  readonly tasks: readonly string[];
  readonly model: string | null;
  readonly parameters: LogisticParameters;

  constructor(parameters: LogisticParameters) {
    this.parameters = parameters;
    this.model = parameters.model;
    this.tasks = parameters.tasks;
    this.numFeatures = parameters.scores.weights[0]!.length;
  }

  route(features: Float32Array): Decision {
    checkFeatures(this, features);
    const { scores: linear, threshold } = this.parameters;
    const logits = linearScores(linear, Float64Array.from(features));
    const probabilities = softmax(logits);
    const order = Array.from(this.tasks.keys()).sort(
      (a, b) => logits[b]! - logits[a]! || a - b,
    ) as [number, ...number[]];
    const [best, second] = order;
    const confidence = probabilities[best]!;
    const strangeness = 1 - confidence;
    const isMatched = strangeness <= threshold;
    return {
      task: isMatched ? this.tasks[best]! : null,
      confidence,
      reason: isMatched ? "matched" : "out-of-distribution",
      margin: second === undefined ? Infinity : logits[best]! - logits[second]!,
      strangeness,
      threshold,
      scores: order.map((index) => ({
        task: this.tasks[index]!,
        probability: probabilities[index]!,
      })),
      nearest: [],
    };
  }
}
