/** Table steps per unit of the argument. */
const stepsPerUnit = 64;

/** Smallest argument of `fastExp`. */
export const minFastExp = -30;

/** Number of different values of `fastExpStep`. */
export const numSteps = -minFastExp * stepsPerUnit + 1;

const table = Float64Array.from({ length: numSteps }, (_, step) => Math.exp(-step / stepsPerUnit));

/** Place of x in [minFastExp, 0] in the table: 0 for 0, and growing as x falls. */
export function fastExpStep(x: number): number {
  return (-x * stepsPerUnit) | 0;
}

/** exp(x) for x in [minFastExp, 0], to a relative error of 3e-9; several times faster than Math.exp. */
export function fastExp(x: number): number {
  const step = fastExpStep(x);
  const rest = x + step / stepsPerUnit;
  return table[step]! * (1 + rest * (1 + rest * (0.5 + rest * (1 / 6))));
}
