import { Background } from "../background/background.ts";
import type * as tasks from "./compile-worker.ts";

/** What the server has done in the background. */
export type BackgroundTasks = Background<typeof tasks>;

export function createBackground(): BackgroundTasks {
  return new Background<typeof tasks>({ worker: new URL("./compile-worker.js", import.meta.url) });
}
