import { resolve } from "node:path";
import { pathToFileURL } from "node:url";

/** The exports of a file in `scripts/`, which is plain JavaScript; ava runs in the project's root. */
export async function loadScript<Exports>(name: string): Promise<Exports> {
  return (await import(pathToFileURL(resolve("scripts", name)).href)) as Exports;
}
