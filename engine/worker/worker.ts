import { RouterLoadError } from "../contract/errors.ts";
import { runWorker } from "./run-worker.ts";

// The worker of engines that answer without routing.
await runWorker((path) => {
  throw new RouterLoadError(`${path}: this engine does not route.`);
});
