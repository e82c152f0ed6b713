/** The value at a point; writes the gradient there. */
export type Objective = (point: Float64Array, gradient: Float64Array) => number;

export interface MinimizeOptions {
  /** @default 100 */
  readonly maxIterations?: number;
  /** Ends when no component of the gradient is larger. @default 1e-5 */
  readonly tolerance?: number;
}

/** Steps that the curvature is estimated from. */
const memory = 8;
const armijo = 1e-4;

/**
 * Minimises a smooth convex function from `start`, with the limited-memory BFGS method and backtracking.
 * Nocedal and Wright, Numerical Optimization, algorithm 7.4.
 */
export function minimize(
  objective: Objective,
  start: Float64Array,
  { maxIterations = 100, tolerance = 1e-5 }: MinimizeOptions = {},
): Float64Array {
  let point = Float64Array.from(start);
  let gradient = new Float64Array(point.length);
  let value = objective(point, gradient);
  const steps: { s: Float64Array; y: Float64Array; rho: number }[] = [];
  for (let iteration = 0; iteration < maxIterations; iteration++) {
    if (gradient.every((component) => Math.abs(component) <= tolerance)) break;
    const direction = descent(gradient, steps);
    const slope = dot(direction, gradient);
    let length = iteration === 0 ? Math.min(1, 1 / Math.sqrt(dot(gradient, gradient))) : 1;
    const next = new Float64Array(point.length);
    const nextGradient = new Float64Array(point.length);
    let nextValue = Infinity;
    for (; length > 1e-10; length /= 2) {
      for (let i = 0; i < next.length; i++) next[i] = point[i]! + length * direction[i]!;
      nextValue = objective(next, nextGradient);
      if (nextValue <= value + armijo * length * slope) break;
    }
    if (!(nextValue < value)) break;
    const s = next.map((component, i) => component - point[i]!);
    const y = nextGradient.map((component, i) => component - gradient[i]!);
    const curvature = dot(s, y);
    if (curvature > 0) {
      steps.push({ s, y, rho: 1 / curvature });
      if (steps.length > memory) steps.shift();
    }
    [point, gradient, value] = [next, nextGradient, nextValue];
  }
  return point;
}

/** Minus the estimated inverse Hessian times the gradient. */
function descent(
  gradient: Float64Array,
  steps: readonly { s: Float64Array; y: Float64Array; rho: number }[],
): Float64Array {
  const q = gradient.map((component) => -component);
  const alphas: number[] = [];
  for (const { s, y, rho } of steps.toReversed()) {
    const alpha = rho * dot(s, q);
    alphas.push(alpha);
    addScaled(q, y, -alpha);
  }
  const last = steps.at(-1);
  if (last !== undefined) {
    const scale = 1 / (last.rho * dot(last.y, last.y));
    for (let i = 0; i < q.length; i++) q[i]! *= scale;
  }
  for (const { s, y, rho } of steps) addScaled(q, s, alphas.pop()! - rho * dot(y, q));
  return q;
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}

function addScaled(target: Float64Array, source: Float64Array, factor: number): void {
  for (let i = 0; i < target.length; i++) target[i]! += factor * source[i]!;
}
