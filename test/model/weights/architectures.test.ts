import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { architectures } from "../../../model/weights/architectures.ts";
import { checkTensors } from "../../../model/weights/check-tensors.ts";
import type { ModelConfig, RotaryAngles } from "../../../model/weights/config.ts";
import { ModelLoadError } from "../../../model/errors.ts";
import { openGguf } from "../../../model/files/gguf.ts";
import { plainRopeFrequencies } from "../../../model/weights/rope.ts";
import { openSafetensors } from "../../../model/files/safetensors.ts";
import {
  writeGguf,
  type WritableMetadata,
  type WritableTensor,
} from "../../helpers/gguf-writer.ts";
import { writeModelFolder } from "../../helpers/safetensors-writer.ts";
import { ggufMetadata, ggufTensors, huggingFaceConfig } from "../../helpers/stored-model.ts";
import { tempDir } from "../../helpers/temp-dir.ts";
import { tinyModel } from "../../helpers/tiny-model.ts";

const model = tinyModel({ numLayers: 2 });
const llama = architectures["llama"]!;

/** The configuration that a GGUF file with changed metadata gives; undefined removes a key. */
function fromGguf(
  t: ExecutionContext,
  changes: Readonly<Record<string, WritableMetadata[string] | undefined>>,
  tensors: readonly WritableTensor[] = [],
): ModelConfig {
  const path = join(tempDir(t), "model.gguf");
  const entries = Object.entries({ ...ggufMetadata(model), ...changes });
  const metadata = Object.fromEntries(entries.filter(([, value]) => value !== undefined));
  writeGguf(path, metadata as WritableMetadata, tensors);
  const checkpoint = openGguf(path);
  t.teardown(() => checkpoint.close());
  return llama.gguf.config(checkpoint, {});
}

/** The configuration that a folder with a changed `config.json` gives. */
function fromHuggingFace(t: ExecutionContext, changes: object): ModelConfig {
  const folder = tempDir(t);
  writeModelFolder(folder, { ...huggingFaceConfig(model), ...changes }, []);
  const checkpoint = openSafetensors(folder);
  t.teardown(() => checkpoint.close());
  return llama.huggingFace.config(checkpoint, {});
}

function refuses(t: ExecutionContext, read: () => unknown, message: RegExp): void {
  t.throws(read, { instanceOf: ModelLoadError, message });
}

test("GGUF metadata give the configuration, with neighbouring rotary pairs", (t) => {
  const { config } = tinyModel({ numLayers: 2, ropeInterleaved: true });
  t.deepEqual(fromGguf(t, {}), { ...config, rmsNormEps: Math.fround(config.rmsNormEps) });
});

test("config.json gives the configuration, with half-split rotary pairs", (t) => {
  t.deepEqual(fromHuggingFace(t, {}), model.config);
});

test("absent optional fields take their defaults", (t) => {
  const absent = {
    "llama.attention.head_count_kv": undefined,
    "llama.attention.key_length": undefined,
    "llama.attention.value_length": undefined,
  };
  const gguf = fromGguf(t, absent);
  t.is(gguf.numKvHeads, gguf.numHeads);
  t.is(gguf.headDim, gguf.hiddenSize / gguf.numHeads);
  const folder = fromHuggingFace(t, {
    num_key_value_heads: undefined,
    head_dim: null,
    rope_theta: undefined,
    tie_word_embeddings: undefined,
  });
  t.is(folder.numKvHeads, folder.numHeads);
  t.is(folder.headDim, folder.hiddenSize / folder.numHeads);
  t.deepEqual(folder.rotaryTables[0]?.frequencies, plainRopeFrequencies(16, 10_000));
  t.false(folder.tiedEmbeddings);
});

test("a GGUF file with an output matrix has an untied head", (t) => {
  const data = new Float32Array(4);
  const output: WritableTensor = { name: "output.weight", shape: [4], type: "F32", data };
  t.false(fromGguf(t, {}, [output]).tiedEmbeddings);
});

test("counts of 64 bits and a vocabulary without tokens are understood", (t) => {
  const config = fromGguf(t, {
    "llama.context_length": 4096n,
    "tokenizer.ggml.tokens": undefined,
    "llama.vocab_size": 1000,
  });
  t.is(config.contextLength, 4096);
  t.is(config.vocabSize, 1000);
});

test("an explicit head size need not divide the hidden size", (t) => {
  t.is(fromHuggingFace(t, { head_dim: 32 }).headDim, 32);
  const lengths = { "llama.attention.key_length": 32, "llama.attention.value_length": 32 };
  t.is(fromGguf(t, lengths).headDim, 32);
});

test("the rotary base is read from either format", (t) => {
  const expected = plainRopeFrequencies(16, 500_000);
  t.deepEqual(
    fromGguf(t, { "llama.rope.freq_base": 500_000 }).rotaryTables[0]?.frequencies,
    expected,
  );
  t.deepEqual(fromHuggingFace(t, { rope_theta: 500_000 }).rotaryTables[0]?.frequencies, expected);
  t.deepEqual(
    fromHuggingFace(t, { rope_parameters: { rope_type: "default", rope_theta: 500_000 } })
      .rotaryTables[0]?.frequencies,
    expected,
  );
});

test("linear rope scaling divides every frequency", (t) => {
  const expected = plainRopeFrequencies(16, 10_000).map((frequency) => frequency / 4);
  const gguf = fromGguf(t, { "llama.rope.scaling.type": "linear", "llama.rope.scaling.factor": 4 });
  t.deepEqual(gguf.rotaryTables[0]?.frequencies, expected);
  for (const key of ["type", "rope_type"]) {
    const folder = fromHuggingFace(t, { rope_scaling: { [key]: "linear", factor: 4 } });
    t.deepEqual(folder.rotaryTables[0]?.frequencies, expected);
  }
});

test("Llama 3 rope scaling keeps short waves, slows long ones and blends between", (t) => {
  const { rotaryTables } = fromHuggingFace(t, {
    rope_theta: 500_000,
    rope_scaling: {
      rope_type: "llama3",
      factor: 8,
      low_freq_factor: 1,
      high_freq_factor: 4,
      original_max_position_embeddings: 8192,
    },
  });
  // Computed in NumPy by the steps of `_compute_llama3_parameters` of transformers.
  const expectedFrequencies = [
    1, 0.19392274474868576, 0.03760603093086393, 0.0072926647372171085, 0.0005248461609929547,
    3.428102195952591e-5, 6.647869871181236e-6, 1.2891731721515574e-6,
  ];
  const [{ frequencies }] = rotaryTables as [RotaryAngles];
  t.is(frequencies.length, expectedFrequencies.length);
  expectedFrequencies.forEach((expected, i) => {
    t.true(Math.abs(frequencies[i]! / expected - 1) < 1e-5, `frequency ${i}`);
  });
});

test("the divisors of a GGUF file divide the frequencies one by one", (t) => {
  const data = Float32Array.of(1, 1, 1, 2, 4, 8, 8, 8);
  const divisors: WritableTensor = { name: "rope_freqs.weight", shape: [8], type: "F32", data };
  t.deepEqual(
    fromGguf(t, {}, [divisors]).rotaryTables[0]?.frequencies,
    plainRopeFrequencies(16, 10_000).map((frequency, i) => frequency / data[i]!),
  );
  refuses(
    t,
    () => fromGguf(t, {}, [{ ...divisors, shape: [4, 2] }]),
    /tensor rope_freqs\.weight has shape \[4, 2\], expected \[8\]/,
  );
});

test("other rope types are refused by name", (t) => {
  refuses(
    t,
    () => fromGguf(t, { "llama.rope.scaling.type": "yarn" }),
    /llama\.rope\.scaling\.type is "yarn", expected "none" or "linear"/,
  );
  refuses(
    t,
    () => fromHuggingFace(t, { rope_scaling: { rope_type: "dynamic", factor: 2 } }),
    /rope type is "dynamic", expected "default", "linear", "llama3" or "longrope"/,
  );
  refuses(
    t,
    () => fromHuggingFace(t, { rope_scaling: { type: "linear" } }),
    /rope scaling: factor/,
  );
});

test("a sliding window shorter than the context is that of all layers", (t) => {
  const windowOf = ({ layers }: ModelConfig) => layers.map(({ window }) => window);
  t.deepEqual(windowOf(fromHuggingFace(t, { sliding_window: 512 })), [512, 512]);
  t.deepEqual(windowOf(fromHuggingFace(t, { sliding_window: 4096 })), [null, null]);
  t.deepEqual(windowOf(fromHuggingFace(t, { sliding_window: null })), [null, null]);
  t.deepEqual(windowOf(fromGguf(t, { "llama.attention.sliding_window": 512 })), [512, 512]);
});

test("what is turned of a head may be a part of it", (t) => {
  for (const { layers, rotaryTables } of [
    fromHuggingFace(t, { partial_rotary_factor: 0.5 }),
    fromHuggingFace(t, { rope_parameters: { rope_type: "default", partial_rotary_factor: 0.5 } }),
    fromGguf(t, { "llama.rope.dimension_count": 8 }),
  ]) {
    t.deepEqual(
      layers.map(({ rotary }) => rotary.size),
      [8, 8],
    );
    t.is(rotaryTables[0]!.frequencies.length, 4);
  }
});

test("biases are there where the configuration or a tensor says so", (t) => {
  const biases = ({ layers }: ModelConfig) => layers[1]!.biases;
  t.deepEqual(biases(fromHuggingFace(t, { attention_bias: true })), [
    "query",
    "key",
    "value",
    "output",
  ]);
  t.deepEqual(biases(fromHuggingFace(t, { mlp_bias: true })), ["gate", "up", "down"]);
  const data = new Float32Array(64);
  const bias: WritableTensor = { name: "blk.0.attn_q.bias", shape: [64], type: "F32", data };
  t.deepEqual(biases(fromGguf(t, {}, [bias])), ["query"]);
});

test("what the computation does not do is refused", (t) => {
  const cases: readonly (readonly [object, RegExp])[] = [
    [{ hidden_act: "gelu" }, /hidden_act: only "silu"/],
    [{ partial_rotary_factor: 0.2 }, /3 values of a head .*, expected an even number up to .* 16/],
    [{ quantization_config: { quant_method: "gptq" } }, /quantised checkpoints/],
    [{ hidden_size: "64" }, /config\.json: hidden_size: .*expected number/],
    [{ rms_norm_eps: undefined }, /config\.json: rms_norm_eps/],
  ];
  for (const [changes, message] of cases) refuses(t, () => fromHuggingFace(t, changes), message);
  refuses(t, () => fromGguf(t, { "llama.expert_count": 8 }), /mixture of experts/);
  refuses(t, () => fromGguf(t, { "llama.block_count": undefined }), /llama\.block_count/);
  refuses(
    t,
    () => fromGguf(t, { "llama.rope.dimension_count": 18 }),
    /18 values of a head are turned .*, expected an even number up to the head size 16/,
  );
});

test("heads that do not fit together are refused", (t) => {
  refuses(
    t,
    () => fromHuggingFace(t, { num_key_value_heads: 3 }),
    /4 heads are not a multiple of 3 key-value heads/,
  );
  refuses(
    t,
    () => fromHuggingFace(t, { head_dim: null, num_attention_heads: 6 }),
    /hidden size 64 is not a multiple of 6 heads/,
  );
  refuses(t, () => fromHuggingFace(t, { head_dim: 15 }), /head size is 15, expected an even/);
  refuses(t, () => fromHuggingFace(t, { head_dim: 2 ** 40 }), /head size is \d+, expected/);
});

/** Checks the tensors of a GGUF file that has `tensors` against the tiny model's configuration. */
function checkGguf(t: ExecutionContext, tensors: readonly WritableTensor[]): void {
  const path = join(tempDir(t), "model.gguf");
  writeGguf(path, {}, tensors);
  const checkpoint = openGguf(path);
  t.teardown(() => checkpoint.close());
  checkTensors(checkpoint, model.config, llama.gguf.tensors);
}

test("tensors that are missing, misshapen or unknown are named with their shapes", (t) => {
  const tensors = ggufTensors(model);
  t.notThrows(() => checkGguf(t, tensors));
  refuses(
    t,
    () =>
      checkGguf(
        t,
        tensors.filter(({ name }) => name !== "blk.1.ffn_up.weight"),
      ),
    /tensor blk\.1\.ffn_up\.weight is missing, expected with shape \[96, 64\]/,
  );
  const transposed = tensors.map((tensor) =>
    tensor.name === "blk.0.attn_k.weight" ? { ...tensor, shape: [64, 32] } : tensor,
  );
  refuses(
    t,
    () => checkGguf(t, transposed),
    /tensor blk\.0\.attn_k\.weight has shape \[64, 32\], expected \[32, 64\]/,
  );
  const bias: WritableTensor = {
    name: "blk.0.attn_q.bias",
    shape: [64],
    type: "F32",
    data: new Float32Array(64),
  };
  refuses(t, () => checkGguf(t, [...tensors, bias]), /has a tensor blk\.0\.attn_q\.bias/);
  t.notThrows(() => checkGguf(t, [...tensors, { ...bias, name: "rope_freqs.weight" }]));
});
