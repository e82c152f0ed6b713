import { RouterError } from "./errors.ts";
import { FeaturePool, numTrunkFeatures } from "./features.ts";
import type { PromptSpans } from "./prompt-spans.ts";
import type { Decision, Router } from "./router.ts";

/** Decides on prompts while they pass the trunk. */
export interface PromptRouter {
  /** For one prompt, before its first token passes. */
  begin(spans: PromptSpans): PendingDecision;
}

/** The decision on one prompt that is on its way through the trunk. */
export interface PendingDecision {
  /** @param hidden the trunk's output of the next tokens, in order. Shape `[numTokens, hiddenSize]`. */
  add(hidden: Float32Array): void;
  /** Whatever comes does not change the decision. */
  readonly isComplete: boolean;
  /** Once it is complete. The chunks that the prompt came in do not matter. */
  decide(): Decision;
}

/**
 * @param hiddenSize of the model
 * @throws RouterError when the router does not decide by trunk outputs of this size.
 */
export function createPromptRouter(router: Router, hiddenSize: number): PromptRouter {
  if (router.featureKind !== "trunk" || router.numFeatures !== numTrunkFeatures(hiddenSize)) {
    throw new RouterError(
      `Expected a router by ${numTrunkFeatures(hiddenSize)} features of the trunk's output, got one by ` +
        `${router.numFeatures} of kind ${router.featureKind}.`,
    );
  }
  return {
    begin(spans) {
      const pool = new FeaturePool(hiddenSize, spans);
      return {
        add: (hidden) => pool.add(hidden),
        get isComplete() {
          return pool.isComplete;
        },
        decide: () => router.route(pool.features()),
      };
    },
  };
}
