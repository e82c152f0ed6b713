// Writes docs/metrics.md from the definitions of the metrics. The project is built.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { format, resolveConfig } from "prettier";
import { metricsDocument } from "../dist/server/metrics/document.js";

const path = join(import.meta.dirname, "../docs/metrics.md");
const options = await resolveConfig(path);
writeFileSync(path, await format(await metricsDocument(), { ...options, parser: "markdown" }));
