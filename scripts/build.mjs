import { createHash } from "node:crypto";
import { existsSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join, posix } from "node:path";
import { exitIfFailed, progress, run, stopwatch } from "./run.mjs";

/** Compiles into `dist/` where a source, the compiler's settings or a package changed since. */
export async function ensureBuilt(root) {
  const config = JSON.parse(readFileSync(join(root, "tsconfig.json"), "utf8"));
  const sources = findSources(root, config.include);
  const settings = ["tsconfig.json", "server/page/tsconfig.json", "package-lock.json"];
  const fingerprint = fingerprintOf(root, [...sources, ...settings]);
  const stampPath = join(root, "dist/.build-stamp");
  const complete = sources.every((source) => existsSync(join(root, outputOf(source))));
  if (complete && existsSync(stampPath) && readFileSync(stampPath, "utf8") === fingerprint) return;

  progress("building …");
  const elapsed = stopwatch();
  // The compiler does not notice outputs that went missing.
  if (!complete) {
    for (const name of [".tsbuildinfo", ".page.tsbuildinfo"]) {
      rmSync(join(root, "dist", name), { force: true });
    }
  }
  removeOrphans(root, sources);
  const tsc = join(root, "node_modules/typescript/bin/tsc");
  const projects = [".", "server/page"];
  exitIfFailed(
    await run(process.execPath, [tsc, "--build", ...projects], { cwd: root, stdout: "stderr" }),
  );
  writeFileSync(stampPath, fingerprint);
  progress(`built in ${elapsed()}`);
}

/**
 * @param include tsconfig's list: folders (searched to the bottom) and `folder/*.ts`.
 * @returns paths from the root, with `/`, sorted.
 */
export function findSources(root, include) {
  return include
    .flatMap((pattern) => {
      const [, folder, flat] = /^([^*]+?)(\/\*\.ts)?$/.exec(pattern) ?? [];
      if (folder === undefined) {
        throw new Error(
          `tsconfig.json: expected a folder or folder/*.ts in include, got ${pattern}`,
        );
      }
      return listFiles(root, folder, flat === undefined).filter(
        (path) => path.endsWith(".ts") && !path.endsWith(".d.ts"),
      );
    })
    .sort();
}

/** Path in `dist/` that a source compiles to. */
export function outputOf(source) {
  return posix.join("dist", source.replace(/\.ts$/, ".js"));
}

/** Removes what deleted sources left in `dist/`: a test among it would still run. */
export function removeOrphans(root, sources) {
  const wanted = new Set(sources.map(outputOf));
  for (const path of listFiles(root, "dist", true)) {
    if (/\.js(\.map)?$/.test(path) && !wanted.has(path.replace(/\.map$/, ""))) {
      rmSync(join(root, path));
    }
  }
}

/** Changes when a file of the list is edited, and when the list itself changes. */
function fingerprintOf(root, paths) {
  const hash = createHash("sha256");
  for (const path of paths) {
    const { size, mtimeMs } = statSync(join(root, path));
    hash.update(`${path} ${size} ${mtimeMs}\n`);
  }
  return hash.digest("hex");
}

function listFiles(root, folder, deep) {
  const path = join(root, folder);
  if (!existsSync(path)) return [];
  return readdirSync(path, { withFileTypes: true }).flatMap((entry) => {
    const child = posix.join(folder, entry.name);
    if (!entry.isDirectory()) return [child];
    // The compiler leaves packages out too.
    if (entry.name === "node_modules") return [];
    return deep ? listFiles(root, child, deep) : [];
  });
}
