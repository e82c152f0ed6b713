import { writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import { rememberedHash } from "../../../model/files/known-hashes.ts";
import { tempDir } from "../../helpers/temp-dir.ts";

test("a hash is computed once for files that nobody writes to", async (t) => {
  const folder = tempDir(t);
  const paths = [join(folder, "a"), join(folder, "b")];
  for (const path of paths) writeFileSync(path, "1");
  let count = 0;
  const hash = (memory: string | undefined, files = paths) =>
    rememberedHash(memory, files, () => Promise.resolve(`hash ${++count}`));
  const memory = join(folder, "hashes");
  t.is(await hash(memory), "hash 1");
  t.is(await hash(memory), "hash 1");
  t.is(await hash(memory, paths.slice(0, 1)), "hash 2");
  writeFileSync(paths[1]!, "2");
  t.is(await hash(memory), "hash 3");
  t.is(await hash(undefined), "hash 4");
  t.is(await hash(join(paths[0]!, "no-folder")), "hash 5");
});
