import { checkFeatures } from "./router.ts";
import type { Decision, Router } from "./router.ts";

/** Sends every prompt to one task, or to none. */
export class FixedRouter implements Router {
  readonly kind = "fixed";
  readonly featureKind = "none";
  readonly numFeatures = 0;
  readonly model = null;
  readonly tasks: readonly string[];
  readonly #decision: Decision;

  constructor(task: string | null) {
    this.tasks = task === null ? [] : [task];
    this.#decision = {
      task,
      confidence: 1,
      reason: "fixed",
      margin: Infinity,
      strangeness: 0,
      threshold: Infinity,
      scores: this.tasks.map((name) => ({ task: name, probability: 1 })),
      nearest: [],
    };
  }

  route(features: Float32Array): Decision {
    checkFeatures(this, features);
    return this.#decision;
  }
}
