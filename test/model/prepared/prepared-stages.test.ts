import { mkdirSync, readdirSync, statSync, truncateSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import type { ExecutionContext } from "ava";
import { ModelLoadError } from "../../../model/errors.ts";
import { preparedStages } from "../../../model/prepared/prepared-stages.ts";
import { builtStages } from "../../../model/prepared/stage-source.ts";
import type { StageSource } from "../../../model/prepared/stage-source.ts";
import type { StageModel } from "../../../model/stages/stage-spec.ts";
import { tensorParts } from "../../../model/stages/stage-tensor.ts";
import { openModel } from "../../../model/weights/open-model.ts";
import type { WeightFormat } from "../../../model/weights/quantize.ts";
import { tempDir } from "../../helpers/temp-dir.ts";
import { writeTinyGguf } from "../../helpers/tiny-gguf.ts";

async function tiny(t: ExecutionContext) {
  const folder = tempDir(t);
  const modelPath = join(folder, "tiny.gguf");
  writeTinyGguf(modelPath, { numLayers: 7, ropeInterleaved: true });
  const { weights } = await openModel(modelPath);
  t.teardown(() => weights.close());
  const problems: string[] = [];
  const source = (kept: string | null, format: WeightFormat = "q8"): StageSource =>
    preparedStages(weights, {
      ...{ modelPath, format, name: "dense", numThreads: 2, folder: kept, minParameters: 0 },
      onProblem: (text) => problems.push(text),
    });
  return { folder, weights, problems, source, kept: join(folder, "prepared") };
}

/** Everything that a source gives, copied: what it gave may be gone afterwards. */
async function contentOf(source: StageSource) {
  const content: unknown[] = [];
  await source(async ({ spec, weights }: StageModel) => {
    const tensors = Array.from(weights, ([name, tensor]) => {
      return [name, tensorParts(tensor).map(([suffix, data]) => [suffix, [...data]])];
    });
    content.push({ spec, tensors });
    return Promise.resolve();
  });
  return content;
}

function foldersIn(path: string): string[] {
  return readdirSync(path).filter((name) => name !== "tmp");
}

for (const format of ["q8", "q4", "f32"] as const) {
  test(`stages that threads build, and those that were kept, are those of one thread: ${format}`, async (t) => {
    const { weights, source, kept, problems } = await tiny(t);
    const expected = await contentOf(builtStages(weights, format, "dense"));
    t.deepEqual(await contentOf(source(null, format)), expected);
    t.deepEqual(await contentOf(source(kept, format)), expected);
    t.deepEqual(await contentOf(source(kept, format)), expected);
    t.deepEqual(problems, []);
    if (format !== "f32") t.is(foldersIn(kept).length, 1);
  });
}

test("kept stages are read and not built again, and damaged ones are", async (t) => {
  const { source, kept } = await tiny(t);
  const expected = await contentOf(source(kept));
  const [name] = foldersIn(kept);
  const path = join(kept, name!, "1.bin");
  const { ino } = statSync(path);
  await contentOf(source(kept));
  t.is(statSync(path).ino, ino);
  truncateSync(path, 100);
  t.deepEqual(await contentOf(source(kept)), expected);
});

test("the folders that were used last are kept, three of them", async (t) => {
  const { source, kept } = await tiny(t);
  for (const [i, name] of ["a", "b", "c"].entries()) {
    mkdirSync(join(kept, name), { recursive: true });
    writeFileSync(join(kept, name, "tensors.json"), "[]");
    utimesSync(join(kept, name, "tensors.json"), 1000 + i, 1000 + i);
  }
  await contentOf(source(kept));
  const left = foldersIn(kept);
  t.is(left.length, 3);
  t.false(left.includes("a"));
});

test("where nothing can be kept the stages come all the same, with a line", async (t) => {
  const { folder, source, problems } = await tiny(t);
  const file = join(folder, "file");
  writeFileSync(file, "");
  t.is((await contentOf(source(join(file, "prepared")))).length, 3);
  t.is(problems.length, 1);
  t.regex(problems[0]!, /^prepared weights are not kept: .* cannot be written/);
});

test("what building fails of is told", async (t) => {
  const { folder, weights } = await tiny(t);
  const path = join(folder, "none.gguf");
  const source = preparedStages(weights, {
    ...{ modelPath: path, format: "q8", name: "dense", numThreads: 2, folder: null },
    minParameters: 0,
    onProblem: () => undefined,
  });
  await t.throwsAsync(contentOf(source), { instanceOf: ModelLoadError, message: /none\.gguf/ });
});

test("what fails while a stage is used ends the building", async (t) => {
  const { source, kept } = await tiny(t);
  const error = new Error("enough");
  await t.throwsAsync(
    source(kept)(() => Promise.reject(error)),
    { is: error },
  );
  t.deepEqual(foldersIn(kept), []);
});
