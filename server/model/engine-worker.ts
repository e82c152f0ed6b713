import { runWorker } from "../../engine/worker/run-worker.ts";
import { createPromptRouter } from "../../router/prompt-router.ts";
import { readRouterFile } from "../../router/router-file.ts";

// The engine's worker, where prompts are routed: the engine knows only what a router looks like.
await runWorker((path, { contentHash, hiddenSize }) =>
  createPromptRouter(readRouterFile(path, contentHash), hiddenSize),
);
