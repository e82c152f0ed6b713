/** Stop strings by which requests end and block the thread of `fragileWorker`. */
export const deadly = "deadly";
export const hanging = "hanging";

/** The server's own engine thread, which requests can end. */
export const fragileWorker = new URL("./fragile-worker.js", import.meta.url);
