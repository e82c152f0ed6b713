import { spawnSync } from "node:child_process";
import { parentPort } from "node:worker_threads";
import type { ToWorker } from "../../engine/worker/worker-protocol.ts";
import { deadly, hanging } from "./fragile.ts";

// The server's own worker, but a request with one of these stop strings ends or blocks the thread.
parentPort!.on("message", (message: ToWorker) => {
  if (message.type !== "generate") return;
  if (message.request.stop.includes(deadly)) throw new Error("killed from inside");
  // As native code does that never returns: what ends JavaScript does not end it.
  if (message.request.stop.includes(hanging)) spawnSync("sleep", ["60"]);
});
await import("../../server/model/engine-worker.ts");
