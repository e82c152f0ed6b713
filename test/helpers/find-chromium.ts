import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";

/** @returns the path of the browser that tests of pages need, where the machine has one */
export function findChromium(): string | undefined {
  const folders = (process.env["PATH"] ?? "").split(delimiter);
  return ["chromium", "chromium-browser", "google-chrome"]
    .flatMap((name) => folders.map((folder) => join(folder, name)))
    .find((path) => existsSync(path));
}
