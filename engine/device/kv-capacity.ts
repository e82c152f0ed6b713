/**
 * Capacity classes: 64, 128, 192, 256, 384, 512, 768, 1024, … Multiples of 64 keep the kernels' vector
 * loops, and so the rounding of a sum, the same in every class.
 */
export function capacityFor(length: number): number {
  let capacity = 64;
  while (capacity < length) capacity *= 2;
  const between = (capacity / 4) * 3;
  return between >= length && between % 64 === 0 ? between : capacity;
}

export interface CapacityDemand {
  /** Positions needed now. */
  readonly length: number;
  /** Capacity held now, 0 for none. */
  readonly capacity: number;
}

/**
 * Capacities that make few batches: sequences share the largest class among them when it is at most
 * twice their own. One batch less saves more time than the unused positions cost, and a sequence is
 * moved only when it must grow or can join others.
 */
export function planCapacities(demands: readonly CapacityDemand[]): number[] {
  const own = demands.map(({ length }) => capacityFor(length));
  const preferred = demands.map(({ capacity }, i) =>
    capacity >= own[i]! && capacity <= 2 * own[i]! ? capacity : own[i]!,
  );
  const plan = new Array<number>(demands.length);
  const order = demands.map((_, i) => i).sort((a, b) => preferred[b]! - preferred[a]!);
  let leader = 0;
  for (const i of order) {
    if (leader === 0 || leader > 2 * own[i]!) leader = preferred[i]!;
    plan[i] = leader;
  }
  return plan;
}
