/** Requests that may come in a time. */
export interface Rate {
  readonly requests: number;
  readonly perMs: number;
}
