// Writes grafana/dashboards/ from grafana/src/. The project is built.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { dashboards, toFile } from "../dist/grafana/src/dashboards.js";

const folder = join(import.meta.dirname, "../grafana/dashboards");
mkdirSync(folder, { recursive: true });
for (const [name, dashboard] of Object.entries(dashboards)) {
  writeFileSync(join(folder, `${name}.json`), toFile(dashboard));
}
