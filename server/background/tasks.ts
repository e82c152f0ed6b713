import { Background } from "./background.ts";
import type * as tasks from "./worker.ts";

/** What the server has done in the background. */
export type BackgroundTasks = Background<typeof tasks>;

export function createBackground(): BackgroundTasks {
  return new Background<typeof tasks>({ worker: new URL("./worker.js", import.meta.url) });
}
