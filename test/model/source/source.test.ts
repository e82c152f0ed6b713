import { mkdirSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { ModelLoadError } from "../../../model/errors.ts";
import { defaultCacheDir } from "../../../model/files/file-cache.ts";
import { resolveModel } from "../../../model/source/source.ts";
import { tempDir } from "../../helpers/temp-dir.ts";

test("a path is taken as it is and named after its file or folder", async (t) => {
  const folder = tempDir(t);
  const file = join(folder, "Some-Model.Q4_K_M.gguf");
  writeFileSync(file, "");
  t.deepEqual(await resolveModel(file), { path: file, name: "Some-Model.Q4_K_M" });
  const model = join(folder, "some-model");
  mkdirSync(model);
  t.deepEqual(await resolveModel(`${model}/`), { path: `${model}/`, name: "some-model" });
});

test("a path that does not exist is an error that says what may be given", async (t) => {
  await t.throwsAsync(resolveModel(join(tempDir(t), "none.gguf")), {
    instanceOf: ModelLoadError,
    message:
      /none\.gguf: no such file or folder; expected .* hf:org\/name\[:file\], default or one of smollm2-135m, /,
  });
});

test("a cache folder that cannot be written is an error that names it", async (t) => {
  const cacheDir = join(tempDir(t), "a-file");
  writeFileSync(cacheDir, "");
  await t.throwsAsync(resolveModel("default", { cacheDir }), {
    instanceOf: ModelLoadError,
    message: /a-file\/.*cannot be written/,
  });
});

test("a malformed hub name is an error that shows the form", async (t) => {
  for (const spec of ["hf:", "hf:name", "hf:a/b/c", "hf:org/name:", "hf:../name/x"]) {
    await t.throwsAsync(resolveModel(spec, { cacheDir: tempDir(t), offline: true }), {
      instanceOf: ModelLoadError,
      message: /expected hf:org\/name or hf:org\/name:file/,
    });
  }
});

test("the cache folder is SEAP_CACHE_DIR, or else in the user's cache folder", (t) => {
  t.is(defaultCacheDir({ SEAP_CACHE_DIR: "/var/seap", XDG_CACHE_HOME: "/x" }), "/var/seap");
  t.is(defaultCacheDir({ XDG_CACHE_HOME: "/x" }), join("/x", "seap-server"));
  t.is(defaultCacheDir({ SEAP_CACHE_DIR: "" }), join(homedir(), ".cache", "seap-server"));
});
