import { engine } from "./engine.ts";
import { experts } from "./experts.ts";
import { overview } from "./overview.ts";
import { routing } from "./routing.ts";

/** By the name of their file. */
export const dashboards = { overview, routing, experts, engine };

/** What is in the file of a dashboard. */
export function toFile(dashboard: (typeof dashboards)[keyof typeof dashboards]): string {
  return `${JSON.stringify(dashboard, null, 2)}\n`;
}
