import { channelParameters, channelSteps, layerParameters } from "./allocation.ts";
import type { AllocationProblem, LayerWidths } from "./allocation.ts";

/** What a module's output loses when a share of its parameters is removed and everything else is dense. */
export interface LossPoint {
  /** Share removed, above 0, at most 1. */
  readonly share: number;
  readonly loss: number;
}

/** Points of rising share; none is pruned beyond the last. Removing nothing loses nothing. */
export type LossCurve = readonly LossPoint[];

export interface LayerSensitivity {
  readonly attention: LossCurve;
  readonly mlp: LossCurve;
}

/**
 * Allocates by measured sensitivity: always takes next what loses least per parameter, heads and channels of all
 * layers alike, until the target is met. A module goes as a whole where its curve reaches 1. Parts of a curve
 * that are not convex are taken in one step, for what they lose on average.
 * @param sensitivities per layer of the middle
 */
export function allocateBySensitivity(
  problem: AllocationProblem,
  sensitivities: readonly LayerSensitivity[],
): LayerWidths[] {
  const { config, attention, target, channelMultiple } = problem;
  const perChannel = channelParameters(config);
  const steps = channelSteps(config, channelMultiple);
  const current = attention.map(() => ({ attention: 0, mlp: 0 }));

  const moves = sensitivities.flatMap((sensitivity, layer) => {
    const heads = attention[layer]!.map(({ parameters }) => parameters);
    const channels = steps.map((count) => count * perChannel);
    return [
      ...movesAlong(heads, sensitivity.attention).map((move) => ({
        ...move,
        layer,
        module: "attention" as const,
      })),
      ...movesAlong(channels, sensitivity.mlp).map((move) => ({
        ...move,
        layer,
        module: "mlp" as const,
      })),
    ];
  });
  moves.sort((a, b) => a.slope - b.slope || a.to - b.to);

  let left = target * attention.length * layerParameters(config);
  const smallestStep = channelMultiple * perChannel;
  const closed = new Set<string>();
  for (const { layer, module, to, parameters } of moves) {
    const key = `${layer} ${module}`;
    if (closed.has(key)) continue;
    if (parameters - left > Math.min(smallestStep / 2, left)) {
      closed.add(key);
      continue;
    }
    current[layer]![module] = to;
    left -= parameters;
  }
  return current.map((at, layer) => ({
    attention: attention[layer]![at.attention]!,
    numChannels: steps[at.mlp]!,
  }));
}

interface Move {
  /** Index of the size it leads to. */
  readonly to: number;
  /** Removed by it. */
  readonly parameters: number;
  /** Loss per parameter. */
  readonly slope: number;
}

/** Steps along the lower convex hull of a module's loss over falling sizes, from the first; slopes rise. */
function movesAlong(sizes: readonly number[], curve: LossCurve): Move[] {
  const dense = sizes[0]!;
  const last = curve.at(-1)?.share ?? 0;
  const points = sizes
    .map((size, index) => ({ index, removed: dense - size }))
    .filter(({ removed }) => removed <= last * dense + 1e-6)
    .map((point) => ({ ...point, loss: lossAt(curve, point.removed / dense) }));
  const slope = (a: { removed: number; loss: number }, b: { removed: number; loss: number }) =>
    (b.loss - a.loss) / (b.removed - a.removed);
  const hull: typeof points = [];
  for (const point of points) {
    for (;;) {
      const [before, corner] = hull.slice(-2);
      if (!corner) break;
      const bend = slope(corner, point) - slope(before!, corner);
      // What is straight but for rounding stays in single steps.
      if (bend >= -1e-9 * Math.abs(slope(corner, point))) break;
      hull.pop();
    }
    hull.push(point);
  }
  let steepest = -Infinity;
  return hull.slice(1).map((point, i) => {
    steepest = Math.max(steepest, slope(hull[i]!, point));
    return { to: point.index, parameters: point.removed - hull[i]!.removed, slope: steepest };
  });
}

/** Linear between points. */
function lossAt(curve: LossCurve, share: number): number {
  let before: LossPoint = { share: 0, loss: 0 };
  for (const point of curve) {
    if (point.share >= share) {
      const part = (share - before.share) / (point.share - before.share);
      return before.loss + part * (point.loss - before.loss);
    }
    before = point;
  }
  return before.loss;
}
