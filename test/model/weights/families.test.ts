import { join } from "node:path";
import test from "ava";
import type { ExecutionContext } from "ava";
import { architectures } from "../../../model/weights/architectures.ts";
import type { ModelConfig, ModelWeights } from "../../../model/weights/config.ts";
import { openModel } from "../../../model/weights/open-model.ts";
import { plainRopeFrequencies } from "../../../model/weights/rope.ts";
import { writeGguf } from "../../helpers/gguf-writer.ts";
import { plainForward } from "../../helpers/plain-forward.ts";
import { somePrompt } from "../../helpers/requests.ts";
import { writeModelFolder } from "../../helpers/safetensors-writer.ts";
import {
  ggufMetadata,
  ggufTensors,
  huggingFaceConfig,
  huggingFaceTensors,
} from "../../helpers/stored-model.ts";
import { tempDir } from "../../helpers/temp-dir.ts";
import { tinyFamilies } from "../../helpers/tiny-families.ts";
import type { TinyFamily } from "../../helpers/tiny-families.ts";
import { tinyModel } from "../../helpers/tiny-model.ts";

const ids = somePrompt(40);

async function open(t: ExecutionContext, path: string): Promise<ModelWeights> {
  const { weights } = await openModel(path);
  t.teardown(() => weights.close());
  return weights;
}

/** Fp32 in files, float64 in memory. */
function rounded(config: ModelConfig): ModelConfig {
  return {
    ...config,
    rmsNormEps: Math.fround(config.rmsNormEps),
    rotaryTables: config.rotaryTables.map(({ frequencies, magnitude }) => {
      return { frequencies, magnitude: Math.fround(magnitude) };
    }),
  };
}

function folderOf(
  t: ExecutionContext,
  expected: ModelWeights,
  { huggingFace }: Pick<TinyFamily, "huggingFace">,
): string {
  const folder = tempDir(t);
  const names = architectures[expected.config.architecture]!.huggingFace.tensors;
  const config = { ...huggingFaceConfig(expected), ...huggingFace };
  writeModelFolder(folder, config, huggingFaceTensors(expected, "F32", names));
  return folder;
}

for (const [name, family] of Object.entries(tinyFamilies)) {
  const { gguf } = architectures[name]!;

  test(`${name}: a GGUF file gives the configuration and the plain forward pass`, async (t) => {
    // Those of Llama are converted so that values of a pair are neighbours, and have no key for windows.
    const expected = tinyModel({
      ...family.model,
      ...(name === "llama" && { ropeInterleaved: true, describe: () => ({}) }),
    });
    const path = join(tempDir(t), "model.gguf");
    const metadata = { ...ggufMetadata(expected), ...family.gguf.metadata };
    const more = family.gguf.tensors ?? [];
    writeGguf(path, metadata, [...ggufTensors(expected, "F32", gguf.tensors), ...more]);
    const weights = await open(t, path);
    t.deepEqual(rounded(weights.config), rounded(expected.config));
    t.deepEqual(
      plainForward(weights, ids),
      plainForward({ ...expected, config: weights.config }, ids),
    );
  });

  test(`${name}: a folder of Hugging Face gives the configuration and the plain forward pass`, async (t) => {
    const expected = tinyModel(family.model);
    const weights = await open(t, folderOf(t, expected, family));
    t.deepEqual(rounded(weights.config), rounded(expected.config));
    const [actual, plain] = [weights, { ...expected, config: weights.config }].map((one) =>
      plainForward(one, ids),
    );
    // Norms that are stored by their distance from 1 lose a bit.
    for (const [i, value] of actual!.entries()) t.true(Math.abs(value - plain![i]!) < 1e-5);
  });
}

async function fromFolder(
  t: ExecutionContext,
  name: string,
  changes: Readonly<Record<string, unknown>>,
): Promise<ModelConfig> {
  const family = tinyFamilies[name]!;
  const huggingFace = { ...family.huggingFace, ...changes };
  return (await open(t, folderOf(t, tinyModel(family.model), { huggingFace }))).config;
}

const windowsOf = ({ layers }: ModelConfig) => layers.map(({ window }) => window);

test("the later layers of Qwen see a window where that is switched on", async (t) => {
  const switchedOn = await fromFolder(t, "qwen2", { use_sliding_window: true });
  t.deepEqual(windowsOf(switchedOn), [null, null, null, 32, 32]);
  const types = ["full_attention", "sliding_attention"];
  const listed = await fromFolder(t, "qwen2", {
    use_sliding_window: true,
    layer_types: [...types, ...types, "full_attention"],
  });
  t.deepEqual(windowsOf(listed), [null, 32, null, 32, null]);
});

test("Gemma's windows and tables are read in the spelling of later releases too", async (t) => {
  const config = await fromFolder(t, "gemma3", {
    layer_types: Array.from({ length: 7 }, (_, i) =>
      i % 2 === 0 ? "sliding_attention" : "full_attention",
    ),
    sliding_window_pattern: undefined,
    rope_local_base_freq: undefined,
    rope_theta: undefined,
    rope_parameters: {
      full_attention: { rope_type: "linear", factor: 8, rope_theta: 500_000 },
      sliding_attention: { rope_type: "default", rope_theta: 20_000 },
    },
  });
  t.deepEqual(windowsOf(config), [20, null, 20, null, 20, null, 20]);
  t.deepEqual(
    config.rotaryTables.map(({ frequencies }) => frequencies),
    [
      plainRopeFrequencies(16, 500_000).map((frequency) => frequency / 8),
      plainRopeFrequencies(16, 20_000),
    ],
  );
});

test("capped scores and other activations of Gemma are refused by name", async (t) => {
  const cases: readonly (readonly [object, RegExp])[] = [
    [{ attn_logit_softcapping: 50 }, /attn_logit_softcapping: capping of the attention's scores/],
    [{ final_logit_softcapping: 30 }, /final_logit_softcapping: capping of the logits/],
    [{ hidden_activation: "gelu" }, /hidden_activation: only "gelu_pytorch_tanh"/],
  ];
  for (const [changes, message] of cases) {
    await t.throwsAsync(fromFolder(t, "gemma3", { ...changes }), { message });
  }
});

test("LongRoPE turns by the divisors of short texts where none that is longer is to be read", async (t) => {
  const family = tinyFamilies["phi3"]!;
  const expected = tinyModel(family.model);
  const folder = folderOf(t, expected, family);
  const path = join(tempDir(t), "model.gguf");
  writeGguf(path, { ...ggufMetadata(expected), ...family.gguf.metadata }, [
    ...ggufTensors(expected, "F32", architectures["phi3"]!.gguf.tensors),
    ...family.gguf.tensors!,
  ]);
  const divisors = [1, 1.25, 1.5, 2, 2.5, 3];
  const short = plainRopeFrequencies(12, 10_000).map((frequency, i) => frequency / divisors[i]!);
  for (const model of [folder, path]) {
    const frequenciesFor = async (contextLength: number) => {
      const { weights } = await openModel(model, { contextLength });
      weights.close();
      return weights.config.rotaryTables[0]!.frequencies;
    };
    t.deepEqual(await frequenciesFor(512), short);
    t.deepEqual(await frequenciesFor(513), expected.config.rotaryTables[0]!.frequencies);
  }
});
