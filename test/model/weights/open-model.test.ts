import { createHash } from "node:crypto";
import { readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { layerTensorShapes } from "../../../model/weights/tensor-shapes.ts";
import type { LayerTensorRole, ModelWeights } from "../../../model/weights/config.ts";
import { ModelLoadError } from "../../../model/errors.ts";
import { openModel } from "../../../model/weights/open-model.ts";
import { resolveModel } from "../../../model/source/source.ts";
import { writeGguf } from "../../helpers/gguf-writer.ts";
import { writeModelFolder, writeShards } from "../../helpers/safetensors-writer.ts";
import {
  ggufMetadata,
  ggufTensors,
  huggingFaceConfig,
  huggingFaceTensors,
} from "../../helpers/stored-model.ts";
import { tempDir } from "../../helpers/temp-dir.ts";
import { tinyModel } from "../../helpers/tiny-model.ts";

const model = tinyModel({ numLayers: 2, tiedEmbeddings: false });

function assertSameWeights(
  t: ExecutionContext,
  actual: ModelWeights,
  expected: ModelWeights,
): void {
  for (const role of ["embedding", "finalNorm", "lmHead"] as const) {
    t.deepEqual(actual.readTensor(role), expected.readTensor(role), role);
  }
  for (let layer = 0; layer < expected.config.numLayers; layer++) {
    for (const key of Object.keys(layerTensorShapes(expected.config, layer))) {
      const role = key as LayerTensorRole;
      t.deepEqual(
        actual.readLayerTensor(layer, role),
        expected.readLayerTensor(layer, role),
        `${role} of layer ${layer}`,
      );
    }
  }
}

test("a GGUF file opens with its weights by role, name, hash and tokenizer metadata", async (t) => {
  const path = join(tempDir(t), "tiny-model.F32.gguf");
  writeGguf(path, ggufMetadata(model), ggufTensors(model));
  const { name, weights, tokenizer } = await openModel(path);
  t.teardown(() => weights.close());
  t.is(name, "tiny-model.F32");
  t.is(weights.contentHash, createHash("sha256").update(readFileSync(path)).digest("hex"));
  t.is(weights.config.numLayers, 2);
  assertSameWeights(t, weights, model);
  t.true(tokenizer.kind === "gguf" && tokenizer.metadata["general.architecture"] === "llama");
});

test("a folder opens with its weights by role and its tokenizer files", async (t) => {
  const folder = join(tempDir(t), "tiny-model");
  writeModelFolder(folder, huggingFaceConfig(model), huggingFaceTensors(model), {
    "tokenizer.json": { model: {} },
    "tokenizer_config.json": { chat_template: "from the configuration" },
    "generation_config.json": { eos_token_id: 2 },
  });
  const { name, weights, tokenizer } = await openModel(folder);
  t.teardown(() => weights.close());
  t.is(name, "tiny-model");
  assertSameWeights(t, weights, model);
  t.deepEqual(tokenizer, {
    kind: "huggingface",
    path: join(folder, "tokenizer.json"),
    tokenizerJson: { model: {} },
    tokenizerConfig: { chat_template: "from the configuration" },
    generationConfig: { eos_token_id: 2 },
    chatTemplate: "from the configuration",
  });
});

test("a sharded folder opens as a single one does", async (t) => {
  const folder = tempDir(t);
  const tensors = huggingFaceTensors(model);
  writeModelFolder(folder, huggingFaceConfig(model), []);
  rmSync(join(folder, "model.safetensors"));
  writeShards(folder, [tensors.slice(0, 5), tensors.slice(5)]);
  const { weights } = await openModel(folder);
  t.teardown(() => weights.close());
  assertSameWeights(t, weights, model);
});

test("the head of a model with tied embeddings is the embedding", async (t) => {
  const tied = tinyModel({ numLayers: 1, tiedEmbeddings: true });
  const path = join(tempDir(t), "tied.gguf");
  writeGguf(path, ggufMetadata(tied), ggufTensors(tied));
  const { weights } = await openModel(path);
  t.teardown(() => weights.close());
  t.true(weights.config.tiedEmbeddings);
  t.deepEqual(weights.readTensor("lmHead"), tied.readTensor("embedding"));
});

test("the chat template comes from its own file first, or is the default of several", async (t) => {
  const folder = tempDir(t);
  const write = (files: Readonly<Record<string, unknown>>): void =>
    writeModelFolder(folder, huggingFaceConfig(model), huggingFaceTensors(model), files);
  const chatTemplate = async (): Promise<string | null> => {
    const { weights, tokenizer } = await openModel(folder);
    weights.close();
    return tokenizer.kind === "huggingface" ? tokenizer.chatTemplate : null;
  };
  write({});
  t.is(await chatTemplate(), null);
  const templates = [
    { name: "tool_use", template: "tools" },
    { name: "default", template: "plain" },
  ];
  write({ "tokenizer_config.json": { chat_template: templates } });
  t.is(await chatTemplate(), "plain");
  write({ "chat_template.jinja": "from its own file" });
  t.is(await chatTemplate(), "from its own file");
  rmSync(join(folder, "chat_template.jinja"));
  write({ "tokenizer_config.json": { chat_template: 7 } });
  await t.throwsAsync(chatTemplate(), { instanceOf: ModelLoadError, message: /chat_template/ });
});

test("Llama and Mistral are known by class or model type, others are refused by name", async (t) => {
  const folder = tempDir(t);
  const open = async (changes: object): Promise<void> => {
    const config = { ...huggingFaceConfig(model), ...changes };
    writeModelFolder(folder, config, huggingFaceTensors(model));
    (await openModel(folder)).weights.close();
  };
  await t.notThrowsAsync(open({ architectures: ["MistralForCausalLM"], model_type: "mistral" }));
  await t.notThrowsAsync(open({ architectures: undefined, model_type: "mistral" }));
  await t.throwsAsync(open({ architectures: ["GPT2LMHeadModel"], model_type: "gpt2" }), {
    instanceOf: ModelLoadError,
    message: /"GPT2LMHeadModel", expected one of .*LlamaForCausalLM/,
  });
  const path = join(folder, "other.gguf");
  writeGguf(path, { ...ggufMetadata(model), "general.architecture": "rwkv6" }, ggufTensors(model));
  await t.throwsAsync(openModel(path), {
    instanceOf: ModelLoadError,
    message: /general\.architecture is "rwkv6", expected one of .*llama/,
  });
});

test("a vocabulary of another size than the embedding is an error that says both", async (t) => {
  const path = join(tempDir(t), "model.gguf");
  const metadata = { ...ggufMetadata(model), "tokenizer.ggml.tokens": ["a", "b"] };
  writeGguf(path, metadata, ggufTensors(model));
  await t.throwsAsync(openModel(path), {
    instanceOf: ModelLoadError,
    message: /tensor token_embd\.weight has shape \[256, 64\], expected \[2, 64\]/,
  });
});

test("a model that cannot be opened leaves no file open", async (t) => {
  const folder = tempDir(t);
  const path = join(folder, "model.gguf");
  writeGguf(path, ggufMetadata(model), ggufTensors(model).slice(1));
  await t.throwsAsync(openModel(path), { instanceOf: ModelLoadError, message: /is missing/ });
  writeModelFolder(folder, huggingFaceConfig(model), huggingFaceTensors(model).slice(1));
  await t.throwsAsync(openModel(folder), { instanceOf: ModelLoadError, message: /is missing/ });
  writeFileSync(path, "GGUF and then nothing");
  await t.throwsAsync(openModel(path), { instanceOf: ModelLoadError });
  if (process.platform === "linux") {
    const open = readdirSync("/proc/self/fd").filter((fd) => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`).startsWith(folder);
      } catch {
        return false; // the descriptor of the listing itself
      }
    });
    t.deepEqual(open, []);
  }
});

test("a path that does not exist is an error", async (t) => {
  await t.throwsAsync(openModel(join(tempDir(t), "none.gguf")), {
    instanceOf: ModelLoadError,
    message: /does not exist/,
  });
});

test("the default model opens with its published dimensions", async (t) => {
  const { path } = await resolveModel("default");
  const { weights, tokenizer } = await openModel(path);
  t.teardown(() => weights.close());
  t.like(weights.config, {
    architecture: "llama",
    numLayers: 30,
    hiddenSize: 576,
    numHeads: 9,
    numKvHeads: 3,
    headDim: 64,
    intermediateSize: 1536,
    vocabSize: 49152,
    contextLength: 8192,
    tiedEmbeddings: true,
  });
  t.true(weights.config.layers[29]!.rotary.isInterleaved);
  const tokens = tokenizer.kind === "gguf" ? tokenizer.metadata["tokenizer.ggml.tokens"] : [];
  t.is((tokens as string[]).length, 49152);
  const norm = weights.readLayerTensor(29, "mlpNorm");
  t.true(norm.every((value) => Number.isFinite(value)));
});
