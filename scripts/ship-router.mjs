// Fits the router of the built-in tasks for the default model, and puts it where the package has it.
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const folder = join(root, "router/builtin");

// A router that is there already would be found, and not fitted again.
mkdirSync(folder, { recursive: true });
for (const file of readdirSync(folder)) rmSync(join(folder, file));

const args = [join(root, "bin/seap.js"), "router", "fit", "--json", ...process.argv.slice(2)];
const fit = spawnSync(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
if (fit.status !== 0) process.exit(fit.status ?? 1);
const { router, path } = JSON.parse(fit.stdout.toString());
const shipped = join(folder, `${router}.safetensors`);
copyFileSync(path, shipped);
console.log(shipped);
