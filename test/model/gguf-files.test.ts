import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import type { ExecutionContext } from "ava";
import { layerTensorShapes } from "../../model/weights/tensor-shapes.ts";
import type { LayerTensorRole, ModelWeights } from "../../model/weights/config.ts";
import { ModelLoadError } from "../../model/errors.ts";
import { ggmlEncodings } from "../../model/files/gguf-quants.ts";
import { openGguf } from "../../model/files/gguf.ts";
import { openModel, openTokenizer } from "../../model/weights/open-model.ts";
import { resolveModel } from "../../model/source/source.ts";
import { createTokenizer } from "../../model/text/tokenizer.ts";
import { startFakeHub } from "../helpers/fake-hub.ts";
import { writeGguf } from "../helpers/gguf-writer.ts";
import type { GgufFormat, WritableMetadata, WritableTensor } from "../helpers/gguf-writer.ts";
import { writeModelFolder } from "../helpers/safetensors-writer.ts";
import {
  ggufMetadata,
  ggufTensors,
  huggingFaceConfig,
  huggingFaceTensors,
} from "../helpers/stored-model.ts";
import { tempDir } from "../helpers/temp-dir.ts";
import { writeTinyGguf } from "../helpers/tiny-gguf.ts";
import { tinyModel } from "../helpers/tiny-model.ts";

const model = tinyModel({ numLayers: 2 });
const metadata = ggufMetadata(model);
const tensors = ggufTensors(model);

/** As llama-gguf-split does: all metadata in the first part, tensors in order. */
function writeParts(
  folder: string,
  count = 3,
  change: (part: number, split: Record<string, number>) => WritableMetadata = (_, split) => split,
  format: GgufFormat = {},
): string[] {
  const size = Math.ceil(tensors.length / count);
  return Array.from({ length: count }, (_, i) => {
    const split = {
      "split.no": i,
      "split.count": count,
      "split.tensors.count": tensors.length,
    };
    const path = partPath(folder, i + 1, count);
    const own = tensors.slice(i * size, (i + 1) * size);
    writeGguf(path, { ...(i === 0 ? metadata : {}), ...change(i, split) }, own, format);
    return path;
  });
}

function partPath(folder: string, number: number, count: number): string {
  const digits = (value: number) => String(value).padStart(5, "0");
  return join(folder, `tiny.F32-${digits(number)}-of-${digits(count)}.gguf`);
}

function assertSameWeights(t: ExecutionContext, actual: ModelWeights): void {
  t.deepEqual(actual.readTensor("embedding"), model.readTensor("embedding"));
  for (const key of Object.keys(layerTensorShapes(model.config, 1))) {
    const role = key as LayerTensorRole;
    t.deepEqual(actual.readLayerTensor(1, role), model.readLayerTensor(1, role), role);
  }
}

async function refuses(
  t: ExecutionContext,
  path: string,
  file: string,
  problem: RegExp,
): Promise<void> {
  const error = await t.throwsAsync(openModel(path), { instanceOf: ModelLoadError });
  t.is(error.path, file);
  t.regex(error.message, problem);
}

test("E13: a split model opens by any of its parts, or by the folder that has nothing else", async (t) => {
  const folder = join(tempDir(t), "parts");
  mkdirSync(folder);
  const parts = writeParts(folder);
  writeFileSync(join(folder, "mmproj-tiny.gguf"), "a projector of images");
  const hashes = new Set<string>();
  for (const path of [...parts, folder]) {
    const { name, weights, tokenizer } = await openModel(path);
    t.is(name, path === folder ? "parts" : "tiny.F32");
    t.is((await resolveModel(path)).name, name);
    assertSameWeights(t, weights);
    weights.close();
    hashes.add(weights.contentHash);
    t.is(tokenizer.path, parts[0]!);
  }
  t.is(hashes.size, 1);
  const whole = join(tempDir(t), "whole.gguf");
  writeGguf(whole, metadata, tensors);
  const { weights } = await openModel(whole);
  weights.close();
  t.false(hashes.has(weights.contentHash));
});

test("E13: a part that is missing, of another model or damaged is named", async (t) => {
  const folder = tempDir(t);
  const parts = writeParts(folder);
  rmSync(parts[1]!);
  await refuses(
    t,
    parts[2]!,
    parts[1]!,
    /does not exist, expected part 2 of 3 of the model that tiny/,
  );
  writeFileSync(parts[1]!, "GGUF");
  await refuses(t, parts[0]!, parts[1]!, /ends within its header/);
  writeParts(folder, 3, (part, split) => ({ ...split, ...(part === 2 && { "split.no": 1 }) }));
  await refuses(t, parts[0]!, parts[2]!, /has split\.no 1 and split\.count 3, expected 2 and 3/);
  writeParts(folder, 3, (part, split) => (part === 1 ? {} : split));
  await refuses(t, parts[0]!, parts[1]!, /has split\.no undefined and split\.count undefined/);
  writeParts(folder, 3, (_, split) => ({ ...split, "split.tensors.count": 7 }));
  await refuses(
    t,
    parts[1]!,
    parts[0]!,
    /split\.tensors\.count 7, but its 3 parts have \d+ tensors/,
  );
  writeParts(folder, 3, (part, split) => (part === 2 ? { ...split, "split.count": "?" } : split));
  await refuses(t, parts[0]!, parts[2]!, /split\.count that is no count/);

  const renamed = join(folder, "renamed.gguf");
  writeFileSync(renamed, readFileSync(parts[0]!));
  await refuses(
    t,
    renamed,
    renamed,
    /part 1 of 3 of a split model, expected a name that ends in -00001-of-00003\.gguf/,
  );
});

test("a tensor that is in two parts is an error that names both", async (t) => {
  const folder = tempDir(t);
  const [first, second] = [1, 2].map((number) => partPath(folder, number, 2)) as [string, string];
  const split = { "split.count": 2, "split.tensors.count": 2 };
  writeGguf(first, { ...metadata, ...split, "split.no": 0 }, tensors.slice(0, 1));
  writeGguf(second, { ...split, "split.no": 1 }, tensors.slice(0, 1));
  await refuses(t, first, second, /occurs twice, also in tiny\.F32-00001-of-00002\.gguf/);
});

test("E13: a folder with one GGUF file is that model; of several the error lists them", async (t) => {
  const folder = join(tempDir(t), "Tiny-GGUF");
  mkdirSync(folder);
  await refuses(t, folder, folder, /has no model: expected model\.safetensors .* or a GGUF file/);
  writeTinyGguf(join(folder, "tiny.Q8_0.gguf"), { numLayers: 2 });
  // Repositories of GGUF files have this one too.
  writeFileSync(join(folder, "config.json"), "{}");
  const { name, weights, tokenizer } = await openModel(folder);
  weights.close();
  t.is(name, "Tiny-GGUF");
  t.is(tokenizer.path, join(folder, "tiny.Q8_0.gguf"));
  t.deepEqual(openTokenizer(folder), tokenizer);
  writeParts(folder, 2);
  await refuses(
    t,
    folder,
    folder,
    /several GGUF models, expected the path of one of them: tiny\.F32-00001-of-00002\.gguf, tiny\.Q8_0\.gguf$/,
  );
});

test("where a folder has safetensors and GGUF files, the safetensors are the model", async (t) => {
  const folder = tempDir(t);
  writeModelFolder(folder, huggingFaceConfig(model), huggingFaceTensors(model));
  writeFileSync(join(folder, "other.gguf"), "");
  const { weights, tokenizer } = await openModel(folder);
  weights.close();
  t.is(tokenizer.kind, "huggingface");
});

test("E13: a big-endian file gives what the little-endian one gives, split or not", async (t) => {
  const folder = tempDir(t);
  const [parts] = writeParts(folder, 2, undefined, { isBigEndian: true });
  const whole = join(folder, "whole.gguf");
  writeGguf(whole, metadata, tensors, { isBigEndian: true });
  for (const path of [parts!, whole]) {
    const { weights } = await openModel(path);
    assertSameWeights(t, weights);
    weights.close();
  }
  const little = join(folder, "little.gguf");
  const big = join(folder, "big.gguf");
  const values = {
    ...{ text: "Grüße", count: 7, negative: -3, real: 0.5, yes: true, long: 2n ** 60n },
    ...{ texts: ["a", "日本"], reals: [1, 0.25] },
  };
  writeGguf(little, values, []);
  writeGguf(big, values, [], { isBigEndian: true });
  const [expected, actual] = [openGguf(little), openGguf(big)];
  t.deepEqual({ ...actual.metadata }, { ...expected.metadata });
  expected.close();
  actual.close();
});

test("every element type is read in both byte orders", (t) => {
  const folder = tempDir(t);
  const blocks = [...ggmlEncodings.values()].map(({ name, blockValues, blockBytes }) => {
    const data = Uint8Array.from({ length: 3 * blockBytes }, (_, i) => (i * 37 + 11) % 120);
    return { name, shape: [3, blockValues], type: name, data } as WritableTensor;
  });
  const [little, big] = [join(folder, "little.gguf"), join(folder, "big.gguf")];
  writeGguf(little, {}, blocks);
  writeGguf(big, {}, blocks, { isBigEndian: true });
  t.false(readFileSync(little).equals(readFileSync(big)));
  const [expected, actual] = [openGguf(little), openGguf(big)];
  for (const { name } of blocks)
    t.deepEqual(actual.readTensor(name), expected.readTensor(name), name);
  expected.close();
  actual.close();
});

test("E13: a tokenizer without merges is an error that names the file", (t) => {
  const folder = tempDir(t);
  const path = join(folder, "tiny.gguf");
  const tokenizerOf = { "tokenizer.ggml.model": "gpt2", "tokenizer.ggml.tokens": ["a", "b"] };
  writeGguf(path, { ...metadata, ...tokenizerOf }, tensors);
  t.throws(() => createTokenizer(openTokenizer(folder)), {
    instanceOf: ModelLoadError,
    message: `${path}: tokenizer.ggml.merges: expected a list of strings, got nothing`,
  });
});

test("a SentencePiece vocabulary without scores is read as llama.cpp reads it", (t) => {
  const path = "tiny.gguf";
  const tokens = ["<unk>", "<s>", "</s>", "a", "b", "ab", "\u2581"];
  const types = [2, 3, 3, 1, 1, 1, 1];
  const tokenizer = createTokenizer({
    ...{ kind: "gguf", path },
    metadata: {
      "tokenizer.ggml.model": "llama",
      "tokenizer.ggml.tokens": tokens,
      "tokenizer.ggml.token_type": types,
    },
  });
  t.deepEqual([...tokenizer.encode("abb", { parseSpecial: false, addBos: false })], [6, 5, 4]);
});

test("E13: of a repository on the hub all parts of a model are downloaded", async (t) => {
  const folder = tempDir(t);
  const parts = writeParts(folder).map((path) => readFileSync(path));
  const names = parts.map((_, i) => `F32/${partPath("", i + 1, 3).replace(/^\//, "")}`);
  const files = Object.fromEntries(names.map((name, i) => [name, parts[i]!]));
  const hub = await startFakeHub(t, { "org/split": files });
  const options = {
    cacheDir: tempDir(t),
    env: { HF_ENDPOINT: hub.url },
    log: () => undefined,
  };
  for (const spec of ["hf:org/split", `hf:org/split:${names[1]}`]) {
    const { path } = await resolveModel(spec, options);
    t.true(path.endsWith(names[0]!));
    const { weights } = await openModel(path);
    assertSameWeights(t, weights);
    weights.close();
  }
  t.deepEqual(hub.downloads.toSorted(), names);

  hub.repos["org/more"] = { ...files, "F16/tiny.gguf": parts[0]! };
  await t.throwsAsync(resolveModel("hf:org/more", options), {
    instanceOf: ModelLoadError,
    message:
      /several GGUF models; add one of them after a colon: F32\/.*-00001-of-00003\.gguf, F16\/tiny\.gguf$/,
  });
  hub.repos["org/less"] = { [names[0]!]: parts[0]!, [names[2]!]: parts[2]! };
  await t.throwsAsync(resolveModel("hf:org/less", options), {
    instanceOf: ModelLoadError,
    message:
      /hf:org\/less: the repository has not all parts of the model: .*-00002-of-00003\.gguf is missing/,
  });
});
