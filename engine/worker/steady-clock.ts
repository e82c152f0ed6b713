/** Seconds on a steady clock that all threads of the process share, unlike that of `performance`. */
export function steadySeconds(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds + nanoseconds / 1e9;
}
