/** A request started, or waits again, for its expert: the server counts requests by that. */
export type ProgressEvent = { readonly type: "started" } | { readonly type: "parked" };
