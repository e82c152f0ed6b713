/**
 * Bucket edges, in seconds unless said otherwise: those of vLLM, so that its dashboards work, and finer
 * ones where a small model on a local machine has its values.
 */

export const firstTokenEdges = [
  0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.15, 0.2, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10,
  20, 40, 80, 160, 640, 2560,
];

export const interTokenEdges = [
  0.001, 0.002, 0.003, 0.004, 0.005, 0.006, 0.008, 0.01, 0.015, 0.02, 0.025, 0.05, 0.075, 0.1, 0.15,
  0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80,
];

export const phaseEdges = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20,
  30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680,
];

export const routingEdges = [
  0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
];

/** 0 to 1. */
export const confidenceEdges = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1];

/** Tokens. */
export const tokenCountEdges = [
  1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000, 200_000,
];

/** Sequences that decode together. */
export const batchEdges = [1, 2, 4, 8, 16, 32, 64, 128];

/** Tokens that were guessed right at once. */
export const draftEdges = [0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32];

/** Tokens of one step. */
export const stepTokenEdges = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048];

export const stepEdges = [
  0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1,
  2.5,
];

export const deliveryEdges = [
  0.000_1, 0.000_25, 0.000_5, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1,
];
