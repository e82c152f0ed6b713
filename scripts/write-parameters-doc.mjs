// Writes docs/parameters.md from the tables of known parameters. The project is built.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { format, resolveConfig } from "prettier";
import { parametersDocument } from "../dist/server/parameters/document.js";

const path = join(import.meta.dirname, "../docs/parameters.md");
const options = await resolveConfig(path);
writeFileSync(path, await format(parametersDocument(), { ...options, parser: "markdown" }));
