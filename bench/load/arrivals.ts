/**
 * When the requests of a Poisson process come: the time from one to the next is exponential, whatever the server does.
 * @param rate a second
 * @param random from 0 up to 1
 * @returns seconds from the start, ascending
 */
export function poissonArrivals(
  rate: number,
  durationSeconds: number,
  random: () => number,
): number[] {
  const arrivals: number[] = [];
  const next = (after: number) => after - Math.log(1 - random()) / rate;
  for (let at = next(0); at < durationSeconds; at = next(at)) arrivals.push(at);
  return arrivals;
}
