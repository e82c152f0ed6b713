import { execFile } from "node:child_process";
import { existsSync, mkdirSync, readdirSync } from "node:fs";
import { delimiter, join, resolve } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

export interface DebianPrograms {
  /** By name. */
  readonly paths: Readonly<Record<string, string>>;
  /** What they must be started with. */
  readonly env: NodeJS.ProcessEnv;
}

/**
 * Finds programs where they are installed or, from Debian's packages, unpacked in the project's cache: no service is
 * started by that, and nothing needs root.
 * @param packages - the one with the programs, and those with libraries that few machines have
 * @returns why there are none, where they cannot be had
 */
export async function findDebianPrograms(
  programs: readonly string[],
  packages: readonly [string, ...string[]],
): Promise<DebianPrograms | string> {
  const installed = pathsIn(
    [...(process.env["PATH"]?.split(delimiter) ?? []), "/usr/sbin"],
    programs,
  );
  if (installed !== undefined) return { paths: installed, env: process.env };
  const [name] = packages;
  const folder = resolve(".cache", name);
  const unpacked = () =>
    pathsIn(
      ["usr/bin", "usr/sbin"].map((bin) => join(folder, bin)),
      programs,
    );
  try {
    if (unpacked() === undefined) await unpack(folder, packages);
  } catch (error) {
    const { stderr = "", message } = error as Error & { stderr?: string };
    return `Debian's package ${name} cannot be had: ${stderr.trim() || message}`;
  }
  const paths = unpacked();
  if (paths === undefined) return `Debian's package ${name} has no ${programs.join(", ")} in it.`;
  return { paths, env: { ...process.env, LD_LIBRARY_PATH: libraryPath(folder) } };
}

function pathsIn(folders: readonly string[], programs: readonly string[]) {
  for (const folder of folders) {
    const paths = programs.map((name) => [name, join(folder, name)] as const);
    if (paths.every(([, path]) => existsSync(path))) return Object.fromEntries(paths);
  }
  return undefined;
}

/** Libraries lie one folder deeper, by the machine's kind. */
function libraryPath(folder: string): string {
  const parent = join(folder, "usr/lib");
  const kinds = existsSync(parent) ? readdirSync(parent) : [];
  return [parent, ...kinds.map((kind) => join(parent, kind))].join(delimiter);
}

/** With the machine's package lists, or own ones where these are missing or too old. */
async function unpack(folder: string, packages: readonly string[]): Promise<void> {
  const [lists, cache] = [join(folder, "lists"), join(folder, "cache")];
  for (const path of [lists, cache]) mkdirSync(join(path, "partial"), { recursive: true });
  const own = ["-o", `Dir::State::Lists=${lists}`, "-o", `Dir::Cache=${cache}`];
  const apt = (...args: string[]) => run("apt-get", args, { cwd: folder, timeout: 120_000 });
  try {
    await apt("download", ...packages);
  } catch {
    await apt(...own, "update");
    await apt(...own, "download", ...packages);
  }
  const archives = readdirSync(folder).filter((name) => name.endsWith(".deb"));
  if (archives.length === 0) throw new Error("apt-get download brought no archive.");
  for (const archive of archives) await run("dpkg-deb", ["-x", archive, "."], { cwd: folder });
}
