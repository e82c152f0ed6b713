import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import { ArtifactError, ModelLoadError } from "../../model/errors.ts";
import { safetensorsChunks } from "../../model/files/safetensors-writer.ts";
import { RouterError } from "../../router/errors.ts";
import { fitClusterRouter } from "../../router/fit-clusters.ts";
import { readRouterFile, routerFile } from "../../router/router-file.ts";
import { centerAt, rowsAround } from "../helpers/feature-groups.ts";
import { tempDir } from "../helpers/temp-dir.ts";

function fitted(model: string) {
  const tasks = new Map([
    ["math", rowsAround(centerAt(0), 20)],
    ["code", rowsAround(centerAt(1), 20)],
  ]);
  return fitClusterRouter({ tasks, background: new Map() }, { model });
}

test("a router of another model is refused, by name of both", (t) => {
  const path = join(tempDir(t), "router.safetensors");
  writeFileSync(path, Buffer.concat(routerFile(fitted("aaaaaaaaaaaaaaaa"))));
  t.throws(() => readRouterFile(path, "bbbbbbbbbbbbbbbb"), {
    instanceOf: RouterError,
    message: /expected bbbbbbbbbbbb…, got aaaaaaaaaaaa….*seap router fit/,
  });
  t.is(readRouterFile(path, null).kind, "clusters");
});

test("a file that is cut off or no router says so", (t) => {
  const dir = tempDir(t);
  const content = Buffer.concat(routerFile(fitted("a")));
  const cut = join(dir, "cut.safetensors");
  writeFileSync(cut, content.subarray(0, content.length - 8));
  t.throws(() => readRouterFile(cut, null), { instanceOf: ModelLoadError, message: /truncated/ });

  const other = join(dir, "other.safetensors");
  writeFileSync(other, Buffer.concat([...safetensorsChunks([], { format: "pt" })]));
  t.throws(() => readRouterFile(other, null), {
    instanceOf: ArtifactError,
    message: /is no router/,
  });
});

test("a file of another version of the format is refused", (t) => {
  const path = join(tempDir(t), "router.safetensors");
  writeFileSync(path, Buffer.concat(routerFile(fitted("a"))));
  const text = readFileSync(path, "latin1").replace('\\"version\\":2', '\\"version\\":9');
  writeFileSync(path, text, "latin1");
  t.throws(() => readRouterFile(path, null), {
    instanceOf: ArtifactError,
    message: /no router of this release: version/,
  });
});
