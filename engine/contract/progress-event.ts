/** For the counts: a request started, or it waits again, for its expert. */
export type ProgressEvent = { readonly type: "started" } | { readonly type: "parked" };
