// Fits the router of the built-in tasks for each named model, and puts it where the package has it. Models that are not in
// the cache folder are fetched; one whose license has not been accepted keeps the router that it has.
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const folder = join(root, "router/builtin");
const { namedModels } = await import(join(root, "dist/model/source/named-models.js"));

// A router that is there already would be found, and not fitted again.
mkdirSync(folder, { recursive: true });
const aside = mkdtempSync(join(tmpdir(), "seap-routers-"));
for (const file of readdirSync(folder)) {
  copyFileSync(join(folder, file), join(aside, file));
  rmSync(join(folder, file));
}

for (const { name, sha256 } of namedModels) {
  const args = [join(root, "bin/seap.js"), "router", "fit", "--json", "--model", name];
  const fit = spawnSync(process.execPath, [...args, ...process.argv.slice(2)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  if (fit.status === 0) {
    const { router, path } = JSON.parse(fit.stdout.toString());
    copyFileSync(path, join(folder, `${router}.safetensors`));
    console.log(`${name}: ${router}`);
    continue;
  }
  const { readRouterFile } = await import(join(root, "dist/router/router-file.js"));
  const former = readdirSync(aside).find(
    (file) => readRouterFile(join(aside, file), null).model === sha256,
  );
  if (former === undefined) {
    console.error(`${name}: has no router`);
    process.exitCode = 1;
  } else copyFileSync(join(aside, former), join(folder, former));
}
rmSync(aside, { recursive: true });
